"""A file that is changed is noticed once, when being written is over."""

from __future__ import annotations

from pathlib import Path

from daemon.system.file_change import FileChange


def happens(change: FileChange, looks: int = 4) -> list[bool]:
    return [change.happened() for _ in range(looks)]


def test_a_change_is_noticed_once_and_at_the_second_look(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("1")
    change = FileChange(file)
    assert not any(happens(change))
    file.write_text("22")
    assert happens(change) == [False, True, False, False]


def test_a_file_that_is_still_being_written_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    change = FileChange(file)
    for length in range(1, 4):
        file.write_text("x" * length)
        assert not change.happened()
    assert happens(change) == [True, False, False, False]


def test_a_new_file_in_its_place_and_one_that_was_gone_for_a_while(tmp_path: Path) -> None:
    file, new = tmp_path / "file", tmp_path / "new"
    file.write_text("same")
    change = FileChange(file)
    new.write_text("same")
    new.replace(file)
    assert happens(change) == [False, True, False, False]
    file.unlink()
    assert not any(happens(change))
    file.write_text("same again")
    assert happens(change) == [False, True, False, False]


def test_what_has_been_read_is_no_change(tmp_path: Path) -> None:
    file = tmp_path / "file"
    change = FileChange(file)
    file.write_text("1")
    change.read()
    assert not any(happens(change))

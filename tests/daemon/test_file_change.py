"""FileChange reports each change once, when nobody writes the file any more."""

from __future__ import annotations

from pathlib import Path

from daemon.system.file_change import FileChange


def polls(change: FileChange, count: int = 4) -> list[bool]:
    return [change.has_settled() for _ in range(count)]


def test_a_change_is_reported_once_at_the_second_poll(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("1")
    change = FileChange(file)
    assert not any(polls(change))
    file.write_text("22")
    assert polls(change) == [False, True, False, False]


def test_a_file_that_is_being_written_is_not_reported(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    change = FileChange(file)
    for length in range(1, 4):
        file.write_text("x" * length)
        assert not change.has_settled()
    assert polls(change) == [True, False, False, False]


def test_a_replaced_and_a_recreated_file_are_reported(tmp_path: Path) -> None:
    file, new = tmp_path / "file", tmp_path / "new"
    file.write_text("same")
    change = FileChange(file)
    new.write_text("same")
    new.replace(file)
    assert polls(change) == [False, True, False, False]
    file.unlink()
    assert not any(polls(change))
    file.write_text("same again")
    assert polls(change) == [False, True, False, False]


def test_a_known_state_is_not_reported(tmp_path: Path) -> None:
    file = tmp_path / "file"
    change = FileChange(file)
    file.write_text("1")
    change.mark_known()
    assert not any(polls(change))

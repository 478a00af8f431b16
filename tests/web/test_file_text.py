"""The configuration file is the old one or the new one, whenever the process that writes it is killed."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from daemon.errors import UsageError
from daemon.web import file_text, save_history
from daemon.web.file_text import ChangedError, locked_file, read_text, replace_text
from daemon.web.save_history import Save, SaveHistory
from daemon.web.text_difference import difference

TRACED = {file_text.__file__, save_history.__file__}


def save(text: str) -> Save:
    return Save(number=0, time="", camera="front", what="zones", role="edit", address="", text=text)


def write(file: Path, history: Path, before: str, after: str) -> None:
    """As a save does."""
    with locked_file(file):
        SaveHistory(history).add(save(before))
        replace_text(file, before, after)


def killed_at(step: int, *arguments: Any) -> bool:
    """Does `write` in a child that is killed before its line number `step`; whether it was."""
    child = os.fork()
    if child == 0:
        left = step

        def trace(frame: FrameType, event: str, _: Any) -> Any:
            nonlocal left
            if frame.f_code.co_filename in TRACED and event == "line":
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace

        failed = 1
        try:
            sys.settrace(trace)
            write(*arguments)
            failed = 0
        finally:
            os._exit(failed)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_killed_at_any_step_it_is_the_old_or_the_new_file(tmp_path: Path) -> None:
    file = tmp_path / "box.yaml"
    old, new = "device: old\n" * 500, "device: new\n" * 700
    seen, step = set(), 1
    while True:
        history = tmp_path / f"history-{step}"
        file.write_text(old)
        if not killed_at(step, file, history, old, new):
            break
        found = file.read_text()
        assert found in (old, new), step
        seen.add(found)
        kept = SaveHistory(history).all()
        assert all(one["text"] == old for one in kept)
        assert found == old or kept, "what was replaced is kept"
        step += 1
    assert step > 30
    assert seen == {old, new}
    assert file.read_text() == new
    write(file, history, new, old)  # what was left behind is in nobody's way


def test_twenty_saves_are_kept(tmp_path: Path) -> None:
    history = SaveHistory(tmp_path / "history")
    assert history.all() == []
    for number in range(25):
        history.add(save(f"text {number}"))
    kept = history.all()
    assert [one["number"] for one in kept] == list(range(25, 5, -1))
    assert kept[0]["text"] == "text 24"
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "history").iterdir()} == {0o600}
    (tmp_path / "history" / "00000025.json").write_text("{")
    assert [one["number"] for one in history.all()] == list(range(24, 5, -1))


def test_a_file_that_cannot_be_used_is_said_so(tmp_path: Path) -> None:
    file = tmp_path / "box.yaml"
    with pytest.raises(UsageError, match="cannot be read"):
        read_text(file)
    file.write_bytes("device: ö".encode("latin-1"))
    with pytest.raises(UsageError, match="UTF-8"):
        read_text(file)
    file.write_text("a")
    with pytest.raises(ChangedError):
        replace_text(file, "b", "c")
    assert [path.name for path in tmp_path.iterdir()] == ["box.yaml"]


def test_changed_lines_are_shown_without_what_is_secret() -> None:
    before = 'a: {password: "p: x, 1", source: "rtsp://u:pw2@h/1?token=t3", zones: {}}\nb: 1\n'
    shown = difference(before, before.replace("zones: {}", "zones: {z: 1}"))
    assert [(line["kind"], line["line"]) for line in shown] == [("old", 1), ("new", 1)]
    assert not any(secret in line["text"] for line in shown for secret in ("p: x", "pw2", "t3"))
    assert "zones: {z: 1}" in shown[1]["text"]
    assert difference(before, before) == []

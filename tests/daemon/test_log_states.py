"""States in the log: the last line of each subject is how it is, however often and with how many others it changes."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from daemon.system.log_states import StateLines, named_in, state_of, together


def record(kind: str, name: str, text: str, common: str = "") -> logging.LogRecord:
    line = logging.LogRecord("ospreyd", logging.INFO, __file__, 1, f"{kind} %s: %s", (name, text), None)
    line.__dict__.update(state_of(kind, name, common))
    return line


class Log:
    """What is written, in its order."""

    def __init__(self) -> None:
        self.states = StateLines()
        self.lines: list[str] = []

    def at(self, now: float, *records: logging.LogRecord) -> None:
        """Releases what is due, and takes more."""
        self._release(now)
        for each in records:
            if self.states.take(each, now):
                self.lines.append(each.getMessage())

    def close(self) -> list[str]:
        self._release(math.inf)
        return self.lines

    def _release(self, now: float) -> None:
        self.lines += [together(group).getMessage() for group in self.states.release(now)]


def test_a_recovery_within_the_minute_of_an_equal_line_is_written() -> None:
    log = Log()
    for now, text in (
        (0, "streaming"),
        (10, "offline (refused): gone"),
        (20, "streaming"),
        (30, "offline (refused): gone"),
    ):
        log.at(now, record("camera", "a", text))
    log.at(40, record("camera", "a", "streaming"))
    assert [line.rpartition(" ")[2] for line in log.close()] == ["streaming", "gone", "streaming", "gone", "streaming"]


def test_a_line_like_the_one_before_is_written_once_a_minute_with_its_count() -> None:
    log = Log()
    for second in range(0, 61, 10):
        log.at(second, record("camera", "a", "streaming"), record("camera", "b", "streaming"))
    assert log.close() == [
        "camera a: streaming",
        "camera b: streaming",
        "camera a: streaming (repeated 5 times in the last 60 s)",
        "camera b: streaming (repeated 5 times in the last 60 s)",
    ]


def test_a_subject_that_changes_all_the_time_is_cut_off_and_its_last_word_is_written() -> None:
    log = Log()
    for number in range(1001):
        log.at(number / 100, record("broker", "", "lost" if number % 2 else "connected"), record("model", "m", "ready"))
    assert len(log.lines) == 20 + 1
    log.at(60.1)
    assert log.lines[-1] == "broker : connected (980 changes before it are left out)"
    log.at(130, record("broker", "", "lost"))
    assert log.lines[-1] == "broker : lost"


def test_three_hundred_cameras_that_go_away_are_one_story() -> None:
    log = Log()
    names = [f"c{number}" for number in range(300)]
    for number, name in enumerate(names):
        log.at(number / 1000, record("camera", name, "connecting", "connecting"))
    for number, name in enumerate(names):
        text = f"offline (refused): {name} refuses"
        log.at(1 + number / 1000, record("camera", name, text, "offline (refused)"))
    log.at(5.021)  # the first of them is due
    began, story = log.lines[:20], log.lines[20:]
    assert began == [f"camera {name}: connecting" for name in names[:20]]
    assert story[:20] == [f"camera {name}: offline (refused): {name} refuses" for name in names[:20]]
    assert len(story[20:]) == 3
    assert story[20].startswith("100 more cameras: offline (refused): c20, c21, ")
    assert story[22] == f"80 more cameras: offline (refused): {', '.join(names[220:])}"
    log.at(20, record("camera", "c299", "streaming", "streaming"))
    assert log.lines[-1] == "camera c299: streaming"


def test_those_that_are_told_together_are_named_for_programs_too() -> None:
    states = StateLines()
    for number in range(23):
        states.take(record("camera", f"c{number}", "connecting", "connecting"), 0)
    (group,) = states.release(5)
    assert named_in(together(group)) == ("camera", ["c20", "c21", "c22"])
    assert named_in(together(group[:1])) is None


changes = st.tuples(st.sampled_from("abc"), st.sampled_from(["up", "down", "away"]), st.floats(0, 30), st.booleans())


@given(st.lists(changes, max_size=200))
def test_the_last_word_is_always_the_state(course: Sequence[tuple[str, str, float, bool]]) -> None:
    """Also of a log that fails now and then: what was not written comes again."""
    states, now = StateLines(), 0.0
    said: dict[str, str] = {}
    last: dict[str, str] = {}

    def write(group: list[logging.LogRecord], fails: bool) -> None:
        if fails:
            states.failed(group, now)
            return
        for each in group:
            name, text = str(each.args[0]), str(each.args[1])  # type: ignore[index]  # a tuple, see record
            said[name] = text

    for name, text, passed, fails in course:
        now += passed / 10
        for group in states.release(now):
            write(group, fails)
        each = record("camera", name, text, text if fails else "")
        last[name] = text
        if states.take(each, now):
            write([each], fails)
    for group in states.release(math.inf):
        write(group, fails=False)
    assert said == last


@given(st.lists(st.tuples(st.integers(0, 400), st.booleans()), max_size=600))
def test_a_crowd_loses_nobody(course: Sequence[tuple[int, bool]]) -> None:
    states, last, said = StateLines(), dict[str, str](), dict[str, str]()
    for number, up in course:
        name, text = f"c{number}", "up" if up else "down"
        last[name] = text
        each = record("camera", name, text, text)
        for group in ([each],) if states.take(each, 0.0) else ():
            said.update({str(one.args[0]): str(one.args[1]) for one in group})  # type: ignore[index]
    for group in states.release(math.inf):
        said.update({str(one.args[0]): str(one.args[1]) for one in group})  # type: ignore[index]
    assert said == last

"""Lines of the log that say how something is from now on: the last one of each subject is always written.

Pure: time is passed in. A line like the one before is a repetition and left out for a minute. Two rules delay a line,
and neither loses the last word: a subject that changes very often is written once a minute from then on, and where many
subjects become the same at once, one line names those after the first.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

REPEATED_WITHIN = 60.0
"""seconds for which a line like the one before is left out"""
_OFTEN = 20  # changes of one subject in that time, from which on only its latest line is written, at the end
_ALONE = 20  # subjects that become the same in that time, from which on one line is written for several
_TOGETHER = 5.0  # seconds for which such subjects are gathered
_NAMES = 100  # in one line
_SUBJECTS = 10_000  # that are remembered
_STATE = "state"
"""attribute of a record with its State"""
_NAMED = "named"
"""attribute of a record about several subjects, with their kind and names"""


@dataclass(frozen=True, slots=True)
class State:
    """What a line is about."""

    kind: str
    """camera, model, broker and so on"""
    name: str = ""
    """which of them"""
    common: str = ""
    """how it is, where many may become so at once, such as `offline (refused)`; empty: never told together"""


def state_of(kind: str, name: str = "", common: str = "") -> dict[str, object]:
    """The `extra` of a line that says how something is from now on; see State."""
    return {_STATE: State(kind, name, common)}


def state_in(record: logging.LogRecord) -> State | None:
    """What the line is the state of; None: of nothing."""
    found: State | None = getattr(record, _STATE, None)
    return found


def named_in(record: logging.LogRecord) -> tuple[str, Sequence[str]] | None:
    """Kind and names of the subjects of a line made by `together`; None for other lines."""
    found: tuple[str, Sequence[str]] | None = getattr(record, _NAMED, None)
    return found


@dataclass(slots=True)
class _Subject:
    line: tuple[int, str] = (0, "")
    """level and text of its latest line, written or held"""
    at: float = 0.0
    """when that came"""
    repeated: int = 0
    """how often it came again"""
    began: float = 0.0
    """of the minute in which changes are counted"""
    changes: int = 0


@dataclass(frozen=True, slots=True)
class _Held:
    record: logging.LogRecord
    until: float
    together: bool
    """with others that are the same"""
    replaced: int
    """earlier lines that it stands for"""


class StateLines:
    """Not thread-safe."""

    def __init__(self) -> None:
        self._subjects: dict[tuple[str, str], _Subject] = {}
        """by kind and name"""
        self._held: dict[tuple[str, str], _Held] = {}
        self._common: dict[tuple[str, str, int], tuple[float, int]] = {}
        """by kind, common part and level: start of a minute, and lines in it"""

    def take(self, record: logging.LogRecord, now: float) -> bool:
        """Whether to write the record now; may append a count to its message. Else it is left out, or comes later."""
        state = state_in(record) or State("")
        key, line = (state.kind, state.name), (record.levelno, record.getMessage())
        subject = self._subjects.setdefault(key, _Subject(began=now))
        if line == subject.line and (now - subject.at < REPEATED_WITHIN or key in self._held):
            subject.repeated += 1
            return False
        if line == subject.line and subject.repeated:
            text = f"repeated {subject.repeated} times in the last {now - subject.at:.0f} s"
            record.msg = f"{record.msg} ({text})"
        if now - subject.began >= REPEATED_WITHIN:
            subject.began, subject.changes = now, 0
        subject.line, subject.at, subject.repeated = line, now, 0
        subject.changes += 1
        before = self._held.pop(key, None)
        replaced = 0 if before is None else before.replaced + 1
        if subject.changes > _OFTEN:
            self._held[key] = _Held(record, subject.began + REPEATED_WITHIN, False, replaced)
        elif self._is_common(state, record.levelno, now):
            self._held[key] = _Held(record, now + _TOGETHER if before is None else before.until, True, replaced)
        self._forget()
        return key not in self._held

    def failed(self, records: Sequence[logging.LogRecord], now: float) -> None:
        """These were not written: they come again, unless a later line of their subject does."""
        for record in records:
            if (state := state_in(record)) is not None:
                held = _Held(record, now + _TOGETHER, bool(state.common), 0)
                self._held.setdefault((state.kind, state.name), held)

    def due(self) -> float | None:
        """When the first held line is to be written; None: none is held."""
        return min((held.until for held in self._held.values()), default=None)

    def release(self, now: float) -> list[list[logging.LogRecord]]:
        """The held lines that are due; those of subjects that have become the same are in one list, due or not."""
        groups: dict[tuple[object, ...], list[logging.LogRecord]] = {}
        common = {_common(held.record) for held in self._held.values() if held.together and held.until <= now}
        due = [k for k, h in self._held.items() if h.until <= now or (h.together and _common(h.record) in common)]
        for key in due:
            held = self._held.pop(key)
            record = held.record
            if held.together:
                groups.setdefault(_common(record), []).append(record)
                continue
            if held.replaced:
                record.msg = f"{record.msg} ({held.replaced} changes before it are left out)"
            groups[key] = [record]
        return [group[n : n + _NAMES] for group in groups.values() for n in range(0, len(group), _NAMES)]

    def _is_common(self, state: State, level: int, now: float) -> bool:
        """Whether many subjects have just become the same."""
        if not state.common:
            return False
        key = (state.kind, state.common, level)
        began, count = self._common.get(key, (now, 0))
        if now - began >= REPEATED_WITHIN:
            began, count = now, 0
        self._common[key] = began, count + 1
        return count >= _ALONE

    def _forget(self) -> None:
        """Drops subjects that have said nothing for long."""
        if len(self._subjects) > _SUBJECTS:
            for key in [key for key in self._subjects if key not in self._held][: _SUBJECTS // 10]:
                del self._subjects[key]


def _common(record: logging.LogRecord) -> tuple[str, str, int]:
    """What records that are written together have in common."""
    state = state_in(record) or State("")
    return state.kind, state.common, record.levelno


def together(records: Sequence[logging.LogRecord]) -> logging.LogRecord:
    """One line for all of a list that `release` gave."""
    first, states = records[0], [state for record in records if (state := state_in(record)) is not None]
    if len(records) == 1:
        return first
    kind, names = states[0].kind, [state.name for state in states]
    text = f"{len(records)} more {kind}s: {states[0].common}: {', '.join(names)}"
    line = logging.LogRecord(first.name, first.levelno, first.pathname, first.lineno, "%s", (text,), None)
    setattr(line, _NAMED, (kind, names))
    return line

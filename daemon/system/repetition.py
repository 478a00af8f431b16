"""What the log leaves out: lines that repeat, and floods of lines from one place."""

from __future__ import annotations

import logging
import time

_REPEATED_WITHIN = 60.0  # seconds in which an identical line is written once
_DIFFERENT = 300  # lines of one call site in that time; more than a site with many cameras writes at its start
_COUNTED_WITHIN = 3600.0  # seconds after which the count of a line that did not come again is dropped


class Repetition(logging.Filter):
    """Writes an identical line once a minute, and its number of repetitions with the next one after that.

    Call sites that log many distinct messages, as during a flood of bad commands, are limited too.
    """

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[tuple[int, str], tuple[float, int]] = {}
        """by line: time.monotonic() when it was last written, and its repetitions since"""
        self._places: dict[tuple[str, int], tuple[float, int, int]] = {}
        """by call site: start of its minute, lines written in it, lines suppressed since"""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to write the record; may append a count to its message. logging calls this with a lock held."""
        if record.levelno >= logging.CRITICAL:
            return True
        now, line, place = time.monotonic(), (record.levelno, record.getMessage()), (record.pathname, record.lineno)
        since, more = self._seen.get(line, (-_REPEATED_WITHIN, 0))
        if now - since < _REPEATED_WITHIN:
            self._seen[line] = since, more + 1
            return False
        began, written, left_out = self._places.get(place, (now, 0, 0))
        if now - began >= _REPEATED_WITHIN:
            began, written = now, 0
        if written == _DIFFERENT:
            self._places[place] = began, written, left_out + 1
            return False
        self._places[place] = began, written + 1, 0
        if more:
            record.msg = f"{record.msg} (repeated {more} times in the last {now - since:.0f} s)"
        if left_out:
            record.msg = f"{record.msg} ({left_out} similar lines suppressed)"
        self._forget(now)
        self._seen[line] = now, 0
        return True

    def _forget(self, now: float) -> None:
        """Drops old entries; lines with unreported repetitions are kept longer."""
        self._seen = {
            line: seen
            for line, seen in self._seen.items()
            if now - seen[0] < (_COUNTED_WITHIN if seen[1] else _REPEATED_WITHIN)
        }

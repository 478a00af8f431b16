"""Log lines of every process of the daemon: one for each event, on standard error, without secrets or repetition."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from enum import Enum
from typing import TextIO

from daemon.config.credentials import without_credentials

FORMAT_VARIABLE = "OSPREYD_LOG_FORMAT"
"""Of the environment: the format, for the processes that the daemon starts too."""
_REPEATED_WITHIN = 60.0  # seconds in which the same line is written once
_DIFFERENT = 300  # lines of one place in the program that are written in that time; a big site starts with fewer
_COUNTED_WITHIN = 3600.0  # seconds after which a count that nobody asked for is forgotten
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (logging.DEBUG, 7))
"""of syslog, from the least level on"""
_SUBJECT = re.compile(r"(camera|model) %s:")
"""how a message begins that is about one camera or model, whose name is its first argument"""


class LogFormat(str, Enum):
    """What a line looks like."""

    TEXT = "text"
    JSON = "json"


def log_to_stderr(*, anew: bool = False) -> None:
    """For the start of a process, and `anew` after FORMAT_VARIABLE was set. Other packages may only warn."""
    handler = logging.StreamHandler(sys.stderr)
    to_journal = _is_journal(sys.stderr, os.environ)
    wanted = os.environ.get(FORMAT_VARIABLE, LogFormat.TEXT.value)
    lines = _JsonLines() if wanted == LogFormat.JSON.value else _TextLines(timed=not to_journal)
    handler.setFormatter(_ForJournal(lines) if to_journal else lines)
    handler.addFilter(Repetition())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=anew)
    logging.getLogger("ospreyd").setLevel(logging.INFO)


def say_error(text: str) -> None:
    """Writes what ends a command to standard error, with the priority of an error where the journal reads it."""
    if _is_journal(sys.stderr, os.environ):
        text = "\n".join(f"<3>{line}" for line in text.splitlines())
    print(text, file=sys.stderr)  # noqa: T201  it is the command's output


class Repetition(logging.Filter):
    """Lets each line through once in a minute; with the next after that it is told how often it came meanwhile.

    A place in the program that writes ever different lines, as of somebody's flood of messages, is bounded likewise.
    """

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[tuple[int, str], tuple[float, int]] = {}
        """when each line was let through last, monotonic seconds, and how often it came after that"""
        self._places: dict[tuple[str, int], tuple[float, int, int]] = {}
        """of each place: when its minute began, how many lines it wrote in it, how many were left out since"""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is to be written; its message may be one with a count afterwards. Called with a lock held."""
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
            record.msg = f"{record.msg} ({more} times more in the last {now - since:.0f} s)"
        if left_out:
            record.msg = f"{record.msg} ({left_out} other lines of this kind were left out)"
        self._forget(now)
        self._seen[line] = now, 0
        return True

    def _forget(self, now: float) -> None:
        """So that this does not grow; what has come again is remembered longer, for its count to be told."""
        self._seen = {
            line: seen
            for line, seen in self._seen.items()
            if now - seen[0] < (_COUNTED_WITHIN if seen[1] else _REPEATED_WITHIN)
        }


class _TextLines(logging.Formatter):
    """For people; without the time where the journal adds it."""

    def __init__(self, timed: bool) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s" if timed else "%(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return without_credentials(super().format(record))


class _JsonLines(logging.Formatter):
    """One object in a line, for programs."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        subject = _SUBJECT.match(str(record.msg))
        if subject and isinstance(record.args, tuple) and record.args:
            fields[subject[1]] = str(record.args[0])
        fields["message"] = without_credentials(record.getMessage())
        if record.exc_info:
            fields["exception"] = without_credentials(self.formatException(record.exc_info))
        return json.dumps(fields, ensure_ascii=False)


class _ForJournal(logging.Formatter):
    """Each line with its priority, as sd-daemon(3) has it."""

    def __init__(self, lines: logging.Formatter) -> None:
        super().__init__()
        self._lines = lines

    def format(self, record: logging.LogRecord) -> str:
        priority = next((p for level, p in _PRIORITIES if record.levelno >= level), 7)
        return "\n".join(f"<{priority}>{line}" for line in self._lines.format(record).splitlines())


def _is_journal(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether the stream is the one that systemd connected to the journal, and has not been redirected since."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):  # no file at all
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"

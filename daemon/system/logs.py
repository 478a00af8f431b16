"""Logging of every process of the daemon: to standard error, as text or JSON, without credentials or repetition."""

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
"""environment variable with the format; child processes inherit it"""
_REPEATED_WITHIN = 60.0  # seconds in which an identical line is written once
_DIFFERENT = 300  # lines of one call site in that time; more than a site with many cameras writes at its start
_COUNTED_WITHIN = 3600.0  # seconds after which the count of a line that did not come again is dropped
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (logging.DEBUG, 7))
"""syslog priority, by the lowest level that it holds for"""
_SUBJECT = re.compile(r"(camera|model) %s:")
"""start of a message about one camera or model; the name is its first argument"""


class LogFormat(str, Enum):
    """Format of a log line."""

    TEXT = "text"
    JSON = "json"


def log_to_stderr(*, reconfigure: bool = False) -> None:
    """Configures logging at the start of a process; `reconfigure` after FORMAT_VARIABLE changed.

    Loggers of other packages write from WARNING on.
    """
    handler = logging.StreamHandler(sys.stderr)
    to_journal = _is_journal(sys.stderr, os.environ)
    wanted = os.environ.get(FORMAT_VARIABLE, LogFormat.TEXT.value)
    lines = _JsonLines() if wanted == LogFormat.JSON.value else _TextLines(timed=not to_journal)
    handler.setFormatter(_ForJournal(lines) if to_journal else lines)
    handler.addFilter(Repetition())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=reconfigure)
    logging.getLogger("ospreyd").setLevel(logging.INFO)


def say_error(text: str) -> None:
    """Writes the error that ends a command to standard error, with its priority for the journal."""
    if _is_journal(sys.stderr, os.environ):
        text = "\n".join(f"<3>{line}" for line in text.splitlines())
    print(text, file=sys.stderr)  # noqa: T201  it is the command's output


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


class _TextLines(logging.Formatter):
    """Text for people; the journal adds its own time."""

    def __init__(self, timed: bool) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s" if timed else "%(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return without_credentials(super().format(record))


class _JsonLines(logging.Formatter):
    """One JSON object per line."""

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
    """Prefixes each line with its priority, see sd-daemon(3)."""

    def __init__(self, lines: logging.Formatter) -> None:
        super().__init__()
        self._lines = lines

    def format(self, record: logging.LogRecord) -> str:
        priority = next((p for level, p in _PRIORITIES if record.levelno >= level), 7)
        return "\n".join(f"<{priority}>{line}" for line in self._lines.format(record).splitlines())


def _is_journal(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether the stream is connected to the journal."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):  # not a file
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"

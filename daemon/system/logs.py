"""Logging of every process of the daemon: to standard error, as text or JSON, without credentials or repetition."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timezone
from enum import Enum
from typing import TextIO

from daemon.config.credentials import without_credentials
from daemon.system.log_output import LogHandler, LogLine, Output
from daemon.system.log_states import named_in

FORMAT_VARIABLE = "OSPREYD_LOG_FORMAT"
"""environment variable with the format; child processes inherit it"""
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
    handler = LogHandler(sys.stderr)
    to_journal = _is_journal(sys.stderr, os.environ)
    wanted = os.environ.get(FORMAT_VARIABLE, LogFormat.TEXT.value)
    lines = _JsonLines() if wanted == LogFormat.JSON.value else _TextLines(timed=not to_journal)
    handler.setFormatter(_ForJournal(lines) if to_journal else lines)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=reconfigure)
    logging.getLogger("ospreyd").setLevel(logging.INFO)


def lost_lines() -> int:
    """Lines that this process could not write to the log."""
    return sum(handler.lost for handler in logging.getLogger().handlers if isinstance(handler, LogHandler))


def latest_lines(after: int) -> tuple[int, list[LogLine]]:
    """The number of the log's last line, 0: none, and its latest lines beyond another, without credentials."""
    handlers = [handler for handler in logging.getLogger().handlers if isinstance(handler, LogHandler)]
    lines = [line for handler in handlers for line in list(handler.latest)]
    beyond = [replace(line, text=without_credentials(line.text)) for line in lines if line.number > after]
    return lines[-1].number if lines else 0, beyond


def say_error(text: str) -> None:
    """Writes the error that ends a command to standard error, with its priority for the journal."""
    if _is_journal(sys.stderr, os.environ):
        text = "\n".join(f"<3>{line}" for line in text.splitlines())
    with suppress(OSError):  # nobody can be told
        Output(sys.stderr).write(text)


class _TextLines(logging.Formatter):
    """Text for people; the journal adds its own time."""

    def __init__(self, timed: bool) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s" if timed else "%(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return without_credentials(super().format(record))


class _JsonLines(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        subject = _SUBJECT.match(str(record.msg))
        if subject and isinstance(record.args, tuple) and record.args:
            fields[subject[1]] = str(record.args[0])
        if (named := named_in(record)) is not None:
            fields[f"{named[0]}s"] = named[1]
        fields["message"] = without_credentials(record.getMessage())
        # a line of another process has its traceback as text
        if trace := record.exc_text or (self.formatException(record.exc_info) if record.exc_info else ""):
            fields["exception"] = without_credentials(trace)
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

"""Where the lines of the log go: an output that may be full, closed or stuck holds nothing up and ends nothing."""

from __future__ import annotations

import logging
import math
import os
import select
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TextIO

from daemon.system.log_states import StateLines, state_in, together
from daemon.system.repetition import Repetition

_MESSAGE = logging.Formatter("%(message)s")
_PIECE = select.PIPE_BUF  # bytes; what a pipe that is ready takes without waiting
_KEPT = 300  # lines
_PATIENCE = 0.5  # seconds for a reader that is slow; one that is stuck is not waited for again


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the log."""

    number: int
    """counts from 1"""
    time: float
    """UTC, seconds since the epoch"""
    level: str
    """in lower case, as logging calls it"""
    text: str
    """may have several lines; with credentials, where the program logged any"""


class LogHandler(logging.Handler):
    """Writes to a stream, without repetitions. States that could not be written come again when they can be."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._output = Output(stream)
        self._repetition = Repetition()
        self._states = StateLines()
        self._timer: threading.Timer | None = None
        self._unsaid = 0
        """lines lost since the output could be written last"""
        self.lost = 0
        """lines that could not be written since the start"""
        self.latest: deque[LogLine] = deque(maxlen=_KEPT)
        """for any thread"""

    def emit(self, record: logging.LogRecord) -> None:
        """Called with the handler's lock."""
        try:
            now = time.monotonic()
            if state_in(record) is None:
                if self._repetition.filter(record):
                    self._write([record])
                return
            if self._states.take(record, now):
                self._write([record])
            self._schedule(now)
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Writes what is held."""
        self.acquire()
        try:
            if self._timer is not None:
                self._timer.cancel()
            for records in self._states.release(math.inf):
                self._write(records)
        finally:
            self.release()
        super().close()

    def _write(self, records: Sequence[logging.LogRecord]) -> None:
        """One line for all of them."""
        self._keep(together(records))
        try:
            if self._unsaid:
                self._output.write(self.format(_lost(self._unsaid, records[0])))
                self._unsaid = 0
            self._output.write(self.format(together(records)))
        except OSError:
            self.lost += 1
            self._unsaid += 1
            self._states.failed(records, time.monotonic())

    def _keep(self, record: logging.LogRecord) -> None:
        number = self.latest[-1].number + 1 if self.latest else 1
        text = _MESSAGE.format(record)
        self.latest.append(LogLine(number, record.created, record.levelname.lower(), text))

    def _schedule(self, now: float) -> None:
        """Has a thread write what is held, when it is due."""
        if self._timer is None and (due := self._states.due()) is not None:
            timer = threading.Timer(max(0.0, due - now), self._release)
            timer.name, timer.daemon = "log", True
            timer.start()
            self._timer = timer

    def _release(self) -> None:
        self.acquire()
        try:
            self._timer = None
            for records in self._states.release(time.monotonic()):
                self._write(records)
            self._schedule(time.monotonic())
        finally:
            self.release()


class Output:
    """A stream, or the file descriptor behind it, which is asked first whether it takes what is to be written."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._number: int | None = None
        with suppress(OSError, ValueError):  # a stream in memory
            self._number = stream.fileno()
        self._torn = False
        """the last line was written in part"""
        self._stuck = False

    def write(self, line: str) -> None:
        """Raises OSError where it cannot be written."""
        if self._number is None:
            self._stream.write(f"{line}\n")
            self._stream.flush()
            return
        text = f"\n{line}\n" if self._torn else f"{line}\n"
        data = text.encode(errors="backslashreplace")
        sent = 0
        try:
            while sent < len(data):
                self._wait(self._number)
                sent += os.write(self._number, data[sent : sent + _PIECE])
        finally:
            self._torn = self._torn if not sent else sent < len(data)

    def _wait(self, number: int) -> None:
        """Until the output takes a piece. Raises BlockingIOError where it does not."""
        poll = select.poll()
        poll.register(number, select.POLLOUT)
        ready = poll.poll(0 if self._stuck else _PATIENCE * 1000)
        self._stuck = not ready
        if not ready:
            raise BlockingIOError("nobody reads the log")


def _lost(count: int, beside: logging.LogRecord) -> logging.LogRecord:
    text = "%d lines of the log could not be written"
    return logging.LogRecord("ospreyd", logging.WARNING, beside.pathname, beside.lineno, text, (count,), None)

"""Where events wait: the file, or memory for as long as the file cannot be used."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from daemon.config.outbox import Outbox as Settings
from daemon.errors import UsageError
from daemon.outbox.put_queue import Kept
from daemon.outbox.store import Outbox
from daemon.system.backoff import Backoff
from daemon.system.log_states import state_of

_log = logging.getLogger("ospreyd.outbox")

_RETRY = 2.0  # seconds until a file that could not be used is tried again; longer each time, as it is read as a whole
_LONGEST = 60.0  # seconds
_MEMORY_MB = 16.0  # of events in memory, at most
_ALL = 1 << 31  # more messages than there can be


@dataclass(frozen=True, slots=True)
class Recovery:
    """What becomes of values that earlier runs have kept in a file that could not be read at the start."""

    stale: Callable[[Mapping[str, bytes]], Kept] = lambda _kept: {}
    """what is to be deleted or kept instead, beside what this run keeps; called without effects"""
    recovered: Callable[[Mapping[str, bytes]], None] = lambda _kept: None
    """called afterwards, in the thread `outbox`"""


@dataclass(frozen=True, slots=True)
class Moved:
    """What was in memory is now in the file."""

    rows: Mapping[int, int]
    """rows of the messages there, by those in memory"""
    newest_rows: Mapping[str, int]
    """by topic, also of what waited there before"""
    kept: Mapping[str, bytes]
    """by earlier runs"""


class Storage:
    """Has one outbox at any time; used by one thread, but for `problem`.

    A full, read-only or broken disk is a state: events wait in memory meanwhile, are sent from there, and are written
    to the file once it can be used. Raises UsageError where another process uses the file.
    """

    def __init__(self, path: Path, settings: Settings) -> None:
        self._path = path
        self._settings = settings
        self._backoff = Backoff(_RETRY, _LONGEST)
        self._again = math.inf
        """time.monotonic() at which the file is tried again; infinite where it is in use"""
        self.problem: str | None = None
        """why events wait in memory only: one sentence; None where they are on disk"""
        try:
            self.outbox = Outbox(path, settings)
        except OSError as error:
            less = settings.model_copy(update={"max_mb": min(settings.max_mb, _MEMORY_MB)})
            self.outbox = Outbox(None, less)
            self._failed(error)

    @property
    def due(self) -> float:
        """When the file is to be tried again, time.monotonic(); infinite where that is not needed."""
        return self._again

    def to_disk(self, stale: Callable[[Mapping[str, bytes]], Kept]) -> Moved | None:
        """Tries to use the file, and moves there what waits in memory, behind what waits in it; see Recovery.

        None where it cannot be used, or is in use already.
        """
        if self.problem is None:
            return None
        memory = self.outbox
        try:
            disk = Outbox(self._path, self._settings)
            try:
                earlier = dict(disk.kept)
                waiting = memory.read_after(0, _ALL)
                messages = [(message.topic, message.payload) for message in waiting]
                disk.update(messages, (), memory.dropped, {**stale(earlier), **memory.kept})
            except BaseException:
                disk.close()
                raise
        except (OSError, UsageError) as error:
            self._failed(error)
            return None
        memory.close()
        self.outbox, self.problem, self._again = disk, None, math.inf
        _log.info("the outbox %s can be used; events wait there", self._path, extra=state_of("outbox"))
        first = disk.last - len(waiting) + 1
        newest = {**disk.newest_rows, **{m.topic: row for row, m in enumerate(waiting, first)}}
        return Moved({m.row: row for row, m in enumerate(waiting, first)}, newest, earlier)

    def close(self) -> None:
        """Closes the file. Says how many events are lost, if they could not be written to it."""
        if self.problem is not None and self.outbox.waiting:
            _log.error("%d events are lost: %s", self.outbox.waiting, self.problem)
        self.outbox.close()

    def _failed(self, error: Exception) -> None:
        known, self.problem = self.problem, str(error)
        self._again = time.monotonic() + self._backoff.next()
        if self.problem != known:
            text = "%s; events wait in memory only, and the file is tried again"
            _log.error(text, error, extra=state_of("outbox"))

"""The outbox: messages that wait on disk, in their order, until the broker has acknowledged them (SQLite)."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from daemon.config.outbox import Outbox as Settings
from daemon.errors import UsageError
from daemon.outbox.sqlite_file import (
    check,
    checksum,
    free,
    last_row,
    make_tables,
    own,
    reserve,
    set_aside,
    size,
    status_of,
    transaction,
)
from daemon.records import OutboxStatus
from engines.folders import state_folder

log = logging.getLogger("ospreyd.outbox")

_BUSY = 5.0  # seconds to wait for another process that reads or writes
_MARGIN = 1 << 16  # bytes of what the file has in reserve that are left for its indexes
_SHORT = 4 << 20  # bytes; a disk with less counts as full, since the WAL is on it too
_CHECKPOINT = 100  # pages; keeps the WAL within what the reserve has made of it
_DROPPED = "UPDATE numbers SET value = value + ? WHERE name = 'dropped'"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message in the outbox."""

    row: int
    """its place; later messages have higher ones, also after others have left"""
    topic: str
    payload: bytes


class Outbox:
    """One file, owned by one process as long as it is open; for one thread at a time.

    Ages are counted by a clock that runs only while the outbox is open and is kept in it, so that a clock that jumps
    ages nothing. A file that is damaged is set aside beside it, and a new one begins: looked at as a whole when it is
    opened, and each message when it is read. Raises UsageError where the file cannot be used.
    """

    def __init__(self, path: Path, settings: Settings) -> None:
        self._path = path
        self._settings = settings
        self._lock = own(path)
        self._opened = time.monotonic()
        self._clock = 0.0
        self.last = 0
        """row of the newest message that there ever was"""
        self.found: dict[str, int] = {}
        """by topic, row of its newest message when the outbox was opened"""
        self.waiting = 0
        """messages that it holds"""
        self.dropped = 0
        """messages, ever, for want of room or for their age"""
        try:
            self._database = self._open()
        except BaseException:
            self._lock.close()
            raise

    def update(self, added: Sequence[tuple[str, bytes]], removed: Iterable[int], lost: int = 0) -> int:
        """Adds messages (topic, payload) and removes rows in one transaction, on disk when it returns.

        `lost` messages, which came while nothing could be written, are counted as dropped. Returns how many of the
        oldest messages were dropped to make room. Raises OSError, and changes nothing, where even that does not help.
        """
        gone = [(row,) for row in removed]
        try:
            dropped = self._make_room(sum(len(payload) + 2 * len(topic) for topic, payload in added))
            self._write(added, gone, lost)
            return dropped + self._enforce()
        except sqlite3.OperationalError as error:
            raise OSError(f"the outbox {self._path} cannot be written: {error}") from None
        except sqlite3.DatabaseError as error:
            self._begin_anew(error)
            self._write(added, (), lost)
            return 0

    def after(self, row: int, count: int, topic: str | None = None) -> list[Waiting]:
        """The first `count` messages, of one topic if it is given, behind `row`, in their order.

        Raises OSError where the disk fails.
        """
        of_topic, values = ("topic = ? AND", (topic,)) if topic is not None else ("", ())
        which = f"WHERE {of_topic} row > ? ORDER BY row LIMIT ?"
        query = f"SELECT row, topic, payload, clock, checksum FROM messages {which}"  # noqa: S608  ours
        try:
            return [_sound(*found) for found in self._database.execute(query, (*values, row, count))]
        except sqlite3.OperationalError as error:
            raise OSError(f"the outbox {self._path} cannot be read: {error}") from None
        except sqlite3.DatabaseError as error:
            self._begin_anew(error)
            return []

    def status(self) -> OutboxStatus:
        """What it holds now."""
        return status_of(self._database)

    def drop_all(self) -> int:
        """Drops every message; how many there were."""
        with transaction(self._database) as writing:
            dropped = writing.execute("DELETE FROM messages").rowcount
        self.waiting = 0
        return dropped

    def close(self) -> None:
        """Closes it; what waits stays."""
        self._database.close()
        self._lock.close()

    def _write(self, added: Sequence[tuple[str, bytes]], removed: Iterable[tuple[int]], lost: int) -> None:
        clock = self._now()
        with transaction(self._database) as writing:
            left = self.waiting - max(0, writing.executemany("DELETE FROM messages WHERE row = ?", removed).rowcount)
            writing.executemany(
                "INSERT INTO messages (topic, payload, clock, checksum) VALUES (?, ?, ?, ?)",
                [(topic, payload, clock, checksum(topic.encode(), payload, clock)) for topic, payload in added],
            )
            writing.execute("UPDATE numbers SET value = ? WHERE name = 'clock'", (clock,))
            writing.execute(_DROPPED, (lost,))
            last = last_row(writing)
        self.last = last
        self.waiting = left + len(added)
        self.dropped += lost

    def _enforce(self) -> int:
        """Keeps the limits of size and age; how many messages were dropped.

        Where the disk fails it is left for another time: what was added just before must not be added again.
        """
        dropped = 0
        with suppress(sqlite3.OperationalError):
            too_old = self._now() - self._settings.max_age_hours * 3600
            oldest = self._database.execute("SELECT clock FROM messages ORDER BY row LIMIT 1").fetchone()
            if oldest is not None and oldest[0] < too_old:
                dropped += self._drop("clock < ?", too_old)
            while size(self._database) > self._settings.max_mb * 1e6:
                if not (freed := self._drop_some()):
                    break
                dropped += freed
        return dropped

    def _make_room(self, needed: int) -> int:
        """On a disk that is all but full the file must not grow; how many messages were dropped for that."""
        disk = os.statvfs(self._path.parent)
        dropped = 0
        while disk.f_bavail * disk.f_frsize < _SHORT and free(self._database) < needed + _MARGIN:
            if not (freed := self._drop_some()):
                break
            dropped += freed
        return dropped

    def _drop_some(self) -> int:
        """The oldest tenth, at least one."""
        return self._drop(
            "row IN (SELECT row FROM messages ORDER BY row LIMIT 1 + (SELECT count(*) / 10 FROM messages))"
        )

    def _drop(self, which: str, *values: float) -> int:
        with transaction(self._database) as writing:
            dropped = writing.execute(f"DELETE FROM messages WHERE {which}", values).rowcount  # noqa: S608  ours
            writing.execute(_DROPPED, (dropped,))
        self.waiting -= dropped
        self.dropped += dropped
        return dropped

    def _now(self) -> float:
        """Seconds that this outbox has been open, ever."""
        return self._clock + time.monotonic() - self._opened

    def _open(self) -> sqlite3.Connection:
        try:
            return self._prepared()
        except sqlite3.OperationalError as error:
            raise UsageError(f"mqtt.outbox.path: {self._path} cannot be used: {error}") from None
        except sqlite3.DatabaseError as error:
            self._set_aside(error)
            return self._prepared()

    def _prepared(self) -> sqlite3.Connection:
        if self._path.is_file() and not self._path.stat().st_size:
            raise sqlite3.DatabaseError("it is empty")
        database = sqlite3.connect(self._path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")  # what was written survives a loss of power
            database.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT}")
            make_tables(database)
            check(database)
            self._clock = database.execute("SELECT value FROM numbers WHERE name = 'clock'").fetchone()[0]
            self._opened = time.monotonic()
            if self.last:  # rows go on to rise where a damaged file was replaced
                database.execute("INSERT INTO sqlite_sequence VALUES ('messages', ?)", (self.last,))
            self.last = last_row(database)
            self.found = dict(database.execute("SELECT topic, max(row) FROM messages GROUP BY topic"))
            reserve(database)
            status = status_of(database)
            self.waiting, self.dropped = status.waiting, status.dropped
        except BaseException:
            database.close()
            raise
        return database

    def _begin_anew(self, error: sqlite3.DatabaseError) -> None:
        self._database.close()
        self._set_aside(error)
        self._database = self._prepared()

    def _set_aside(self, error: sqlite3.DatabaseError) -> None:
        aside = set_aside(self._path)
        log.error("the outbox %s is damaged (%s): it was set aside as %s, a new one begins", self._path, error, aside)


def _sound(row: int, topic: str, payload: bytes, clock: float, expected: int | None) -> Waiting:
    """The message. Raises sqlite3.DatabaseError where it is not what was written."""
    if expected is not None and checksum(topic.encode(), payload, clock) != expected:
        raise sqlite3.DatabaseError(f"message {row} is not what was written")
    return Waiting(row, topic, payload)


def outbox_path(settings: Settings, device: str) -> Path:
    """Where the outbox of a device is. Raises FolderError."""
    return settings.path or state_folder() / f"outbox-{device}.db"


def read_status(path: Path) -> OutboxStatus:
    """What an outbox holds, also while a daemon uses it. Raises UsageError where there is none to be read."""
    if not path.is_file():
        return OutboxStatus(waiting=0, dropped=0, size=0, oldest=None)
    try:
        database = sqlite3.connect(path, timeout=_BUSY)
        try:
            if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'numbers'").fetchone():
                return OutboxStatus(waiting=0, dropped=0, size=0, oldest=None)  # it is just being made
            return status_of(database)
        finally:
            database.close()
    except sqlite3.DatabaseError as error:
        raise UsageError(f"the outbox {path} cannot be read: {error}") from None

"""The outbox: messages on disk (SQLite), in order, until the broker has acknowledged them."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from daemon.config.outbox import Outbox as Settings
from daemon.outbox.sqlite_file import (
    BUSY,
    StoredMessage,
    check,
    checksum,
    delete,
    free,
    last_row,
    lock_file,
    make_tables,
    read_kept,
    reserve,
    set_aside,
    size,
    status_of,
    transaction,
    verified,
    write_kept,
)
from daemon.records import OutboxStatus
from engines.folders import state_folder

log = logging.getLogger("ospreyd.outbox")

_MARGIN = 1 << 16  # bytes of the file's free space that are left for its indexes
_SHORT = 4 << 20  # bytes; a disk with less free space counts as full, since it holds the WAL too
_CHECKPOINT = 100  # pages; keeps the WAL within its reserved size
_DROPPED = "UPDATE numbers SET value = value + ? WHERE name = 'dropped'"


class Outbox:
    """One file, locked by one process while it is open; used by one thread at a time.

    Ages are measured by a clock that is stored in the file and runs only while it is open, so a jump of the system
    clock does not matter. The whole file is checked when it is opened, and each message when it is read; a damaged file
    is renamed and replaced by a new one. Raises OSError if the file cannot be used, and UsageError if another process
    uses it.
    """

    def __init__(self, path: Path | None, settings: Settings) -> None:
        """Without a path it is in memory, and gone when it is closed."""
        self._path = path
        self._settings = settings
        self._lock = None if path is None else lock_file(path)
        self._opened = time.monotonic()
        self._clock = 0.0
        self.last = 0
        """row of the newest message ever written"""
        self.newest_rows: dict[str, int] = {}
        """by topic, row of its newest message when the file was opened"""
        self.waiting = 0
        """messages in the file"""
        self.dropped = 0
        """messages ever dropped"""
        self.kept: dict[str, bytes] = {}
        """values by key, which change with messages; they stay when a damaged file is replaced while it is open"""
        self._damage: sqlite3.DatabaseError | None = None
        """what is wrong with a file that has not been replaced yet"""
        try:
            self._database = self._open()
        except BaseException:
            self._unlock()
            raise

    def update(
        self,
        added: Sequence[tuple[str, bytes]],
        removed: Iterable[int],
        lost: int = 0,
        kept: Mapping[str, bytes | None] = {},
    ) -> int:
        """Adds messages (topic, payload) and removes rows in one transaction; durable when it returns.

        The same transaction keeps the values of `kept`, and deletes those that are None. Counts `lost` messages as
        dropped besides. Returns how many of the oldest messages were dropped because of max_mb, max_age_hours or a full
        disk. Raises OSError, and changes nothing, if the file cannot be written.
        """
        try:
            try:
                dropped = self._make_room(sum(len(payload) + 2 * len(topic) for topic, payload in added))
                self._write(added, [(row,) for row in removed], lost, kept)
                return dropped + self._enforce()
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError as error:
                self._recreate(error)
                self._write(added, (), lost, kept)
                return 0
        except sqlite3.Error as error:
            raise OSError(f"the outbox {self._path} cannot be written: {error}") from None

    def read_after(self, row: int, count: int, topic: str | None = None) -> list[StoredMessage]:
        """Up to `count` messages after `row`, of one topic if it is given. Raises OSError if the disk fails."""
        of_topic, values = ("topic = ? AND", (topic,)) if topic is not None else ("", ())
        which = f"WHERE {of_topic} row > ? ORDER BY row LIMIT ?"
        query = f"SELECT row, topic, payload, clock, checksum FROM messages {which}"  # noqa: S608  ours
        try:
            return [verified(*found) for found in self._database.execute(query, (*values, row, count))]
        except sqlite3.OperationalError as error:
            raise OSError(f"the outbox {self._path} cannot be read: {error}") from None
        except sqlite3.DatabaseError as error:
            self._recreate(error)
            return []

    def status(self) -> OutboxStatus:
        """The current content."""
        return status_of(self._database)

    def drop_all(self) -> int:
        """Drops every message; returns how many. Raises OSError if the file cannot be written."""
        try:
            with transaction(self._database) as writing:
                dropped = writing.execute("DELETE FROM messages").rowcount
        except sqlite3.Error as error:
            raise OSError(f"the outbox {self._path} cannot be written: {error}") from None
        self.waiting = 0
        return dropped

    def close(self) -> None:
        """Closes the file; messages stay in it."""
        self._database.close()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()

    def _write(
        self,
        added: Sequence[tuple[str, bytes]],
        removed: Iterable[tuple[int]],
        lost: int,
        kept: Mapping[str, bytes | None],
    ) -> None:
        clock = self._now()
        with transaction(self._database) as writing:
            left = self.waiting - max(0, writing.executemany("DELETE FROM messages WHERE row = ?", removed).rowcount)
            writing.executemany(
                "INSERT INTO messages (topic, payload, clock, checksum) VALUES (?, ?, ?, ?)",
                [(topic, payload, clock, checksum(topic.encode(), payload, clock)) for topic, payload in added],
            )
            writing.execute("UPDATE numbers SET value = ? WHERE name = 'clock'", (clock,))
            writing.execute(_DROPPED, (lost,))
            write_kept(writing, kept)
            last = last_row(writing)
        for key, value in kept.items():
            if value is None:
                self.kept.pop(key, None)
            else:
                self.kept[key] = value
        self.last = last
        self.waiting = left + len(added)
        self.dropped += lost

    def _enforce(self) -> int:
        """Drops messages beyond max_mb or max_age_hours; how many.

        Ignores a failing disk until the next time: an error would make the caller add its messages again.
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
        """Drops messages so that the file does not grow on an almost full disk; how many."""
        if self._path is None:
            return 0
        disk = os.statvfs(self._path.parent)
        dropped = 0
        while disk.f_bavail * disk.f_frsize < _SHORT and free(self._database) < needed + _MARGIN:
            if not (freed := self._drop_some()):
                break
            dropped += freed
        return dropped

    def _drop_some(self) -> int:
        """Drops the oldest tenth, at least one; how many."""
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
        """Total seconds for which the file has been open."""
        return self._clock + time.monotonic() - self._opened

    def _open(self) -> sqlite3.Connection:
        try:
            return self._opened_file()
        except (OSError, sqlite3.OperationalError) as error:
            raise OSError(f"mqtt.outbox.path: {self._path} cannot be used: {error}") from None
        except sqlite3.DatabaseError as error:
            return self._replaced(error)

    def _opened_file(self) -> sqlite3.Connection:
        is_new = self._path is not None and not self._path.exists()
        if self._path is not None and not is_new and not self._path.stat().st_size:
            raise sqlite3.DatabaseError("it is empty")
        database = sqlite3.connect(
            self._path or ":memory:", timeout=BUSY, isolation_level=None, check_same_thread=False
        )
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")  # committed data survives a loss of power
            database.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT}")
            make_tables(database)
            check(database)
            self._clock = database.execute("SELECT value FROM numbers WHERE name = 'clock'").fetchone()[0]
            self._opened = time.monotonic()
            if self.last:  # rows keep rising when a damaged file is replaced
                database.execute("INSERT INTO sqlite_sequence VALUES ('messages', ?)", (self.last,))
            if self.kept:
                write_kept(database, self.kept)
            else:
                self.kept = read_kept(database)
            self.last = last_row(database)
            self.newest_rows = dict(database.execute("SELECT topic, max(row) FROM messages GROUP BY topic"))
            if self._path is not None:
                reserve(database)
            status = status_of(database)
            self.waiting, self.dropped = status.waiting, status.dropped
        except BaseException:
            database.close()
            if self._path is not None and is_new:
                delete(self._path)  # what a disk without room leaves would count as damaged
            raise
        return database

    def _recreate(self, error: sqlite3.DatabaseError) -> None:
        """Where there can be no new file, the next use tries again, and still knows what was wrong with the old one."""
        self._damage = self._damage or error
        self._database.close()
        self._database = self._replaced(self._damage)
        self._damage = None

    def _replaced(self, error: sqlite3.DatabaseError) -> sqlite3.Connection:
        """A new file in place of a damaged one, which may be renamed already. Raises OSError."""
        try:
            if self._path is not None and self._path.exists():
                sentence = "the outbox %s is damaged (%s): it was renamed to %s and replaced by a new one"
                log.error(sentence, self._path, error, set_aside(self._path))
            return self._opened_file()
        except (OSError, sqlite3.Error) as failed:
            why = f"it is damaged ({error}) and cannot be replaced: {failed}"
            raise OSError(f"mqtt.outbox.path: {self._path} cannot be used: {why}") from None


def outbox_path(settings: Settings, device: str) -> Path:
    """Path of a device's outbox. Raises FolderError."""
    return settings.path or state_folder() / f"outbox-{device}.db"

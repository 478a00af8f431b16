"""The SQLite file of the outbox: lock, integrity check and sizes."""

from __future__ import annotations

import fcntl
import sqlite3
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import IO

from daemon.errors import UsageError
from daemon.records import OutboxStatus

BUSY = 5.0
"""seconds to wait for another process that locks the file"""
_KEPT = 3  # newest damaged files that are kept beside the outbox
_COMPANIONS = ("-wal", "-shm")  # files that SQLite creates beside it
_RESERVE = 1 << 20  # bytes of free space in the file, so that it works for a while on a full disk
_SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS messages (
    row INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, payload BLOB NOT NULL, clock REAL NOT NULL,
    checksum INTEGER);
CREATE TABLE IF NOT EXISTS kept (key TEXT PRIMARY KEY, value BLOB NOT NULL, checksum INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS numbers (name TEXT PRIMARY KEY, value REAL NOT NULL);
INSERT OR IGNORE INTO numbers VALUES ('clock', 0), ('dropped', 0);
COMMIT;
"""
"""In one transaction, so that no reader sees a part of it."""


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message in the outbox."""

    row: int
    """rises with every message and is never reused"""
    topic: str
    payload: bytes


def lock_of(path: Path) -> Path:
    """The file that a process locks while it has the outbox open."""
    return path.with_name(path.name + ".lock")


def lock_file(path: Path) -> IO[bytes]:
    """Locks the outbox until the returned file is closed or the process ends.

    Raises UsageError if it is locked, and OSError if it cannot be.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = lock_of(path).open("ab")
    except OSError as error:
        raise OSError(f"mqtt.outbox.path: {path} cannot be used: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        if not isinstance(error, BlockingIOError):
            raise OSError(f"mqtt.outbox.path: {path} cannot be locked: {error.strerror}") from None
        raise UsageError(
            f"the outbox {path} is in use by a running ospreyd; stop it first, or set another mqtt.outbox.path"
        ) from None
    return lock


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Commits what is done inside, or rolls it back after an exception."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield database
        database.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # SQLite has often rolled back itself
            database.execute("ROLLBACK")
        raise


def make_tables(database: sqlite3.Connection) -> None:
    """Creates missing tables and columns, also in a file of an earlier version."""
    database.executescript(_SCHEMA)
    if "checksum" not in [column[1] for column in database.execute("PRAGMA table_info(messages)")]:
        database.execute("ALTER TABLE messages ADD COLUMN checksum INTEGER")
    with suppress(sqlite3.OperationalError):  # optional: a full disk has no room for it
        database.execute("CREATE INDEX IF NOT EXISTS messages_by_topic ON messages (topic)")


def check(database: sqlite3.Connection) -> None:
    """Raises sqlite3.DatabaseError if the file or a message is damaged."""
    found = database.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found != "ok":
        raise sqlite3.DatabaseError(found)
    senseless = "SELECT 1 FROM numbers WHERE typeof(value) != 'real' OR value NOT BETWEEN 0 AND 1e15"
    if database.execute(senseless).fetchone():
        raise sqlite3.DatabaseError("its counters are invalid")
    every = "SELECT row, CAST(topic AS BLOB), CAST(payload AS BLOB), clock, checksum FROM messages"
    for row, topic, payload, clock, expected in database.execute(every):
        if not isinstance(clock, float):
            raise sqlite3.DatabaseError(f"message {row} has no time")
        if expected is not None and checksum(topic, payload, clock) != expected:
            raise sqlite3.DatabaseError(f"the checksum of message {row} is wrong")


def read_kept(database: sqlite3.Connection) -> dict[str, bytes]:
    """What is kept beside the messages. Raises sqlite3.DatabaseError where it is not what was written."""
    every = "SELECT key, CAST(key AS BLOB), CAST(value AS BLOB), checksum FROM kept"
    kept = {}
    for key, name, value, expected in database.execute(every):
        if checksum(name, value, 0.0) != expected:
            raise sqlite3.DatabaseError("what is kept in it is not what was written")
        kept[key] = value
    return kept


def write_kept(database: sqlite3.Connection, kept: Mapping[str, bytes | None]) -> None:
    """Keeps these values by key, and forgets those that are None."""
    database.executemany("DELETE FROM kept WHERE key = ?", [(key,) for key in kept])
    values = [(key, value, checksum(key.encode(), value, 0.0)) for key, value in kept.items() if value is not None]
    database.executemany("INSERT INTO kept VALUES (?, ?, ?)", values)


def checksum(topic: bytes, payload: bytes, clock: float) -> int:
    """Of a message; SQLite checks the structure of its pages, not their content."""
    return zlib.crc32(payload, zlib.crc32(topic, zlib.crc32(repr(clock).encode())))


def verified(row: int, topic: str, payload: bytes, clock: float, expected: int | None) -> StoredMessage:
    """A message that was read. Raises sqlite3.DatabaseError if its checksum is wrong."""
    if expected is not None and checksum(topic.encode(), payload, clock) != expected:
        raise sqlite3.DatabaseError(f"the checksum of message {row} is wrong")
    return StoredMessage(row, topic, payload)


def set_aside(path: Path) -> Path:
    """Renames a damaged file with its companions, keeps the newest of such files, and returns the new name."""
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S%f")
    aside = path.with_name(f"{path.name}.corrupt-{stamp}")
    path.rename(aside)
    for suffix in _COMPANIONS:
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    found = sorted(one for one in path.parent.iterdir() if one.name.startswith(f"{path.name}.corrupt-"))
    stamps = [one for one in found if not one.name.endswith(_COMPANIONS)]
    for one in found:
        if not one.name.startswith(tuple(kept.name for kept in stamps[-_KEPT:])):
            with suppress(OSError):  # an old file that stays takes space only
                one.unlink()
    return aside


def delete(path: Path) -> None:
    """Deletes a file with its companions."""
    for suffix in ("", *_COMPANIONS):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def last_row(database: sqlite3.Connection) -> int:
    """Row of the newest message ever written."""
    found = database.execute("SELECT seq FROM sqlite_sequence WHERE name = 'messages'").fetchone()
    return 0 if found is None else int(found[0])


def reserve(database: sqlite3.Connection) -> None:
    """Reserves free space in the file and its WAL, unless the disk is full already."""
    with suppress(sqlite3.OperationalError):
        if free(database) < _RESERVE:
            database.execute("CREATE TABLE reserve (bytes BLOB)")
            database.execute("INSERT INTO reserve VALUES (zeroblob(?))", (_RESERVE,))
    with suppress(sqlite3.OperationalError):
        database.execute("DROP TABLE IF EXISTS reserve")
        database.execute("PRAGMA wal_checkpoint(RESTART)")


def status_of(database: sqlite3.Connection) -> OutboxStatus:
    """The current content. Raises sqlite3.DatabaseError where it makes no sense."""
    waiting, oldest = database.execute("SELECT count(*), min(clock) FROM messages").fetchone()
    numbers = dict(database.execute("SELECT name, value FROM numbers"))
    try:
        hours = None if oldest is None else max(0.0, numbers["clock"] - oldest) / 3600
        return OutboxStatus(waiting, int(numbers["dropped"]), size(database), hours)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise sqlite3.DatabaseError("its counters are invalid") from None


def size(database: sqlite3.Connection) -> int:
    """Bytes that are in use."""
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    return int(pages) * _page(database) - free(database)


def free(database: sqlite3.Connection) -> int:
    """Bytes of the file that are not in use."""
    return int(database.execute("PRAGMA freelist_count").fetchone()[0]) * _page(database)


def _page(database: sqlite3.Connection) -> int:
    return int(database.execute("PRAGMA page_size").fetchone()[0])

"""The SQLite file of the outbox: its lock, its soundness and its sizes."""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from daemon.errors import UsageError
from daemon.records import OutboxStatus

_RESERVE = 1 << 20  # bytes that the file has beyond its content, so that it works for a while on a full disk


def own(path: Path) -> IO[bytes]:
    """The lock file of the outbox, locked until it is closed or the process ends."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = path.with_name(path.name + ".lock").open("ab")
    except OSError as error:
        raise UsageError(f"mqtt.outbox.path: {path} cannot be used: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise UsageError(
            f"the outbox {path} is in use by a running ospreyd; stop it first, or set another mqtt.outbox.path"
        ) from None
    return lock


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All of what is done inside, or nothing."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield database
        database.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # SQLite has often rolled back itself
            database.execute("ROLLBACK")
        raise


def check(database: sqlite3.Connection) -> None:
    """Raises sqlite3.DatabaseError where the file is damaged."""
    found = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise sqlite3.DatabaseError(found)


def last_row(database: sqlite3.Connection) -> int:
    """Row of the newest message that there ever was."""
    found = database.execute("SELECT seq FROM sqlite_sequence WHERE name = 'messages'").fetchone()
    return 0 if found is None else int(found[0])


def reserve(database: sqlite3.Connection) -> None:
    """Makes the file and its WAL larger than they need to be; on a disk that is full already they stay as they are."""
    with suppress(sqlite3.OperationalError):
        if free(database) < _RESERVE:
            database.execute("CREATE TABLE reserve (bytes BLOB)")
            database.execute("INSERT INTO reserve VALUES (zeroblob(?))", (_RESERVE,))
    with suppress(sqlite3.OperationalError):
        database.execute("DROP TABLE IF EXISTS reserve")
        database.execute("PRAGMA wal_checkpoint(RESTART)")


def status_of(database: sqlite3.Connection) -> OutboxStatus:
    """What it holds now."""
    waiting, oldest = database.execute("SELECT count(*), min(clock) FROM messages").fetchone()
    numbers = dict(database.execute("SELECT name, value FROM numbers"))
    hours = None if oldest is None else max(0.0, numbers["clock"] - oldest) / 3600
    return OutboxStatus(waiting, int(numbers["dropped"]), size(database), hours)


def size(database: sqlite3.Connection) -> int:
    """Bytes of its content."""
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    return int(pages) * _page(database) - free(database)


def free(database: sqlite3.Connection) -> int:
    """Bytes that the file has beyond its content."""
    return int(database.execute("PRAGMA freelist_count").fetchone()[0]) * _page(database)


def _page(database: sqlite3.Connection) -> int:
    return int(database.execute("PRAGMA page_size").fetchone()[0])

"""The outbox as commands and metrics use it: opened while no daemon runs, or only read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from stat import S_ISREG

from daemon.config.outbox import Outbox as Settings
from daemon.errors import UsageError
from daemon.outbox.sqlite_file import BUSY, status_of
from daemon.outbox.store import Outbox
from daemon.records import OutboxStatus


@contextmanager
def opened_outbox(path: Path, settings: Settings) -> Iterator[Outbox]:
    """For commands. Raises UsageError if the file cannot be used."""
    try:
        with closing(Outbox(path, settings)) as outbox:
            yield outbox
    except OSError as error:
        raise UsageError(str(error)) from None


def read_status(path: Path) -> OutboxStatus:
    """The content of an outbox, even while a daemon uses it. Raises UsageError if the file cannot be read."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return OutboxStatus(waiting=0, dropped=0, size=0, oldest=None)
    except OSError as error:
        raise UsageError(f"the outbox {path} cannot be read: {error.strerror}") from None
    if not S_ISREG(mode):
        raise UsageError(f"the outbox {path} is no file; remove it, or set another mqtt.outbox.path")
    try:
        database = sqlite3.connect(path, timeout=BUSY)
        try:
            if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'numbers'").fetchone():
                return OutboxStatus(waiting=0, dropped=0, size=0, oldest=None)  # it is being created
            return status_of(database)
        finally:
            database.close()
    except sqlite3.DatabaseError as error:
        raise UsageError(f"the outbox {path} cannot be read: {error}") from None

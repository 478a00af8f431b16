"""Damage to the file of an outbox that nobody uses."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import orjson

_PAGE = 4096  # bytes, SQLite's


def waiting(path: Path) -> set[str]:
    """Ids of the events in an outbox that nobody uses; all of them are in the file itself afterwards."""
    database = sqlite3.connect(path)
    try:
        found = {orjson.loads(payload)["id"] for (payload,) in database.execute("SELECT payload FROM messages")}
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return found
    finally:
        database.close()


def damage(path: Path, ids: set[str], rng: random.Random) -> str:
    """Cuts the file off, or overwrites bytes of an event or all of its page; which of these it was."""
    content = bytearray(path.read_bytes())
    kind = rng.choice(("cut off", "a few bytes overwritten", "a page overwritten"))
    if kind == "cut off":
        del content[rng.randrange(len(content)) :]
    else:
        start, length = content.index(rng.choice(sorted(ids)).encode()), 8
        if kind == "a page overwritten":
            start, length = start // _PAGE * _PAGE, _PAGE
        content[start : start + length] = rng.randbytes(length)
    path.write_bytes(content)
    return kind

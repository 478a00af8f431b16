"""A damaged outbox file: its messages are intact, or it is replaced and the log says so."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import tempfile
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.config.outbox import Outbox as Settings
from daemon.outbox.sqlite_file import StoredMessage, set_aside
from daemon.outbox.store import Outbox
from tests.daemon.test_outbox import fill
from tests.daemon.test_outbox_start import disk

MESSAGES = [(f"gate/{n % 3}/events", b'{"id": "%d", "count": %d}' % (n, n * 7)) for n in range(300)]
HELD = [StoredMessage(row, *message) for row, message in enumerate(MESSAGES, 1)]


@cache
def sound() -> bytes:
    """A file that holds the messages."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "outbox.db"
        outbox = Outbox(path, Settings())
        outbox.update(MESSAGES, ())
        outbox.close()
        return path.read_bytes()


def used() -> int:
    """Bytes from its beginning up to the end of the messages; what follows is held in reserve."""
    return sound().rindex(b'{"id": "') + 4096


def opened(content: bytes) -> tuple[list[StoredMessage], list[str]]:
    """What an outbox of this content holds, and what it says; from then on it works."""
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]  # as its docs say
    logger = logging.getLogger("ospreyd.outbox")
    logger.addHandler(handler)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "outbox.db"
            path.write_bytes(content)
            outbox = Outbox(path, Settings())
            held = [of for topic in sorted(outbox.newest_rows) for of in outbox.read_after(0, 1000, topic)]
            outbox.update([("new", b"1")], ())
            assert [of.payload for of in outbox.read_after(0, 1000, "new")] == [b"1"]
            assert outbox.waiting == len(held) + 1
            outbox.close()
            assert [of.read_bytes() for of in path.parent.glob("*.corrupt-*") if "-wal" not in of.name] == (
                [content] if said else []
            )
            return sorted(held, key=lambda of: of.row), said
    finally:
        logger.removeHandler(handler)


def damage(path: Path) -> None:
    """Changes a message in the file, whoever has it open."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE messages SET payload = CAST(replace(payload, '2', '3') AS BLOB) WHERE row = 3")
        database.commit()


def test_a_file_that_is_whole() -> None:
    assert opened(sound()) == (HELD, [])


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 1), st.binary(min_size=1, max_size=200), st.booleans())
def test_overwritten_bytes(where: float, garbage: bytes, in_use: bool) -> None:
    content = bytearray(sound())
    start = int(where * ((used() if in_use else len(content)) - len(garbage)))
    content[start : start + len(garbage)] = garbage
    held, said = opened(bytes(content))
    if said:
        assert held == []
        assert "is damaged" in said[0]
    else:
        assert held == HELD


@settings(max_examples=20, deadline=None)
@given(st.floats(0, 1, exclude_max=True))
def test_a_truncated_file(part: float) -> None:
    held, said = opened(sound()[: int(part * len(sound()))])
    assert held == []
    assert "is damaged" in said[0]


def test_a_damaged_message_is_found_when_it_is_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    outbox = Outbox(tmp_path / "outbox.db", Settings())
    outbox.update(MESSAGES, ())
    damage(tmp_path / "outbox.db")
    assert outbox.read_after(0, 2) == HELD[:2]
    assert outbox.read_after(2, 2) == []
    assert "the checksum of message 3 is wrong" in caplog.text
    outbox.update([("new", b"1")], ())
    assert outbox.read_after(0, 10) == [StoredMessage(301, "new", b"1")]
    outbox.close()


def test_damage_is_found_where_there_can_be_no_new_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Every use raises OSError and names the damage, until there can."""
    folder = tmp_path / "state"
    outbox = Outbox(folder / "outbox.db", Settings())
    outbox.update(MESSAGES, (), kept={"x": b"1"})
    damage(folder / "outbox.db")
    folder.rename(tmp_path / "aside")
    folder.touch()
    for _ in range(2):
        with pytest.raises(OSError, match="checksum of message 3 is wrong"):
            outbox.read_after(0, 10)
        with pytest.raises(OSError):  # noqa: PT011  what the disk says
            outbox.update([("new", b"1")], ())
    folder.unlink()
    (tmp_path / "aside").rename(folder)
    outbox.update([("new", b"1")], ())
    assert outbox.read_after(0, 10) == [StoredMessage(301, "new", b"1")]
    assert "checksum of message 3 is wrong" in caplog.text
    assert len(list(folder.glob("*.corrupt-*[0-9]"))) == 1
    outbox.close()
    again = Outbox(folder / "outbox.db", Settings())
    assert again.kept == {"x": b"1"}
    again.close()


def test_damage_is_found_while_the_disk_is_full(tmp_path: Path) -> None:
    """There is room for a new file first, and for its messages later."""
    path = tmp_path / "disk" / "outbox.db"
    path.parent.mkdir()
    with disk(path.parent, "size=4m"):
        outbox = Outbox(path, Settings())
        outbox.update(MESSAGES, ())
        damage(path)
        fill(path.with_name("filler"))
        for use in (lambda: outbox.read_after(0, 10), lambda: outbox.update([("new", b"1")], ())):
            with pytest.raises(OSError, match="checksum of message 3 is wrong"):
                use()
            assert not path.exists()
        for _ in range(60):
            os.truncate(path.with_name("filler"), path.with_name("filler").stat().st_size - 8192)
            with pytest.raises(OSError, match=r"outbox\.db cannot be "):
                outbox.update([("new", bytes(1_000_000))], ())
        assert len(list(path.parent.glob("*.corrupt-*[0-9]"))) == 1
        outbox.update([("new", b"1")], ())
        assert outbox.read_after(0, 10) == [StoredMessage(301, "new", b"1")]
        outbox.close()


def test_a_file_of_an_earlier_version(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "outbox.db")
    database.executescript(
        "CREATE TABLE messages ("
        "row INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, payload BLOB NOT NULL, clock REAL NOT NULL);"
        "CREATE TABLE numbers (name TEXT PRIMARY KEY, value REAL NOT NULL);"
        "INSERT INTO numbers VALUES ('clock', 12.5), ('dropped', 2);"
    )
    database.executemany("INSERT INTO messages (topic, payload, clock) VALUES (?, ?, 1.5)", MESSAGES)
    database.commit()
    database.close()
    outbox = Outbox(tmp_path / "outbox.db", Settings())
    outbox.update([("new", b"1")], ())
    assert outbox.read_after(0, 1000) == [*HELD, StoredMessage(301, "new", b"1")]
    assert outbox.dropped == 2
    outbox.close()


def test_only_the_newest_damaged_files_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    other = tmp_path / "outbox.db.corrupt"
    other.touch()
    for number in range(6):
        path.write_bytes(b"%d is no database" % number)
        path.with_name("outbox.db-wal").write_bytes(b"%d" % number)
        set_aside(path)
    kept = sorted(one for one in tmp_path.glob("outbox.db.corrupt-*") if not one.name.endswith("-wal"))
    assert [one.read_bytes() for one in kept] == [b"%d is no database" % number for number in (3, 4, 5)]
    assert [one.with_name(one.name + "-wal").read_bytes() for one in kept] == [b"3", b"4", b"5"]
    assert len(list(tmp_path.glob("*.corrupt-*"))) == 6
    assert other.exists()

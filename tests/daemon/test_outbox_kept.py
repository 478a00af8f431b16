"""Values that are kept beside the messages: they change with them, in one transaction, and outlive the process."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from daemon.config.outbox import Outbox as Settings
from daemon.mqtt.outgoing import Handover
from daemon.outbox.sender import OutboxSender
from daemon.outbox.store import Outbox
from tests.conftest import wait_for

TOPIC = "a/b"


def quiet(path: Path) -> OutboxSender:
    """Never connected."""
    return OutboxSender(path, Settings(), lambda _topic, _payload: Handover.NO_ROOM, lambda _: None)


def kept(path: Path) -> dict[str, bytes]:
    """What the file keeps, read by another."""
    with sqlite3.connect(path) as database:
        return dict(database.execute("SELECT key, value FROM kept"))


def opened(path: Path) -> dict[str, bytes]:
    """What is kept when the file is opened again."""
    outbox = Outbox(path, Settings())
    outbox.close()
    return outbox.kept


def test_values_are_there_at_the_next_start_until_they_are_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    first = Outbox(path, Settings())
    first.update([(TOPIC, b"1")], (), kept={"x": b"1", "y": b"2"})
    first.update([(TOPIC, b"2")], (), kept={"x": b"3", "y": None})
    assert first.kept == {"x": b"3"}
    first.close()
    again = Outbox(path, Settings())
    assert again.kept == {"x": b"3"}
    assert again.waiting == 2
    again.update([], [1, 2], kept={"x": None})
    again.close()
    assert opened(path) == {}


def test_a_file_that_is_damaged_while_it_is_open_keeps_them(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    outbox = Outbox(path, Settings())
    outbox.update([(TOPIC, b"1")], (), kept={"x": b"1"})
    with sqlite3.connect(path) as other:
        other.execute("UPDATE messages SET payload = x'00'")
    assert outbox.read_after(0, 1) == []  # which sets it aside
    outbox.update([(TOPIC, b"2")], (), kept={"y": b"2"})
    outbox.close()
    assert kept(path) == {"x": b"1", "y": b"2"}


def test_a_value_that_is_not_what_was_written_sets_the_file_aside(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    outbox = Outbox(path, Settings())
    outbox.update([(TOPIC, b"1")], (), kept={"x": b"1"})
    outbox.close()
    with sqlite3.connect(path) as other:
        other.execute("UPDATE kept SET value = x'00'")
    assert opened(path) == {}
    assert list(tmp_path.glob("outbox.db.corrupt-*"))


def test_a_file_of_an_earlier_version_begins_to_keep(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    outbox = Outbox(path, Settings())
    outbox.update([(TOPIC, b"1")], ())
    outbox.close()
    with sqlite3.connect(path) as other:
        other.execute("DROP TABLE kept")
    again = Outbox(path, Settings())
    assert (again.waiting, again.kept) == (1, {})
    again.close()


def test_the_sender_keeps_with_a_message_and_without(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    sender = quiet(path)
    assert sender.kept == {}
    sender.start()
    sender.put(TOPIC, b"1", time.monotonic(), {"x": b"1", "y": b"1"})
    sender.put(TOPIC, b"2", time.monotonic(), {"x": b"2"})
    sender.keep({"y": None, "z": b"3"})
    wait_for(lambda: kept(path) == {"x": b"2", "z": b"3"}, "the values in the file")
    assert sender.counts.waiting == 2
    assert sender.stop(5)
    assert opened(path) == {"x": b"2", "z": b"3"}

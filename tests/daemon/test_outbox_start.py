"""Starts on a disk that is full, read-only or broken: a state that is reported; events do not wait for its end."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.config.outbox import Outbox as Settings
from daemon.demo.film import Shot, film
from daemon.outbox import disk_or_memory
from daemon.outbox.opened import read_status
from daemon.outbox.store import Outbox, outbox_path
from daemon.publish.publisher import Publisher
from daemon.records import EventType
from daemon.records.object_events import ObjectEvent
from daemon.records.objects import ObjectSnapshot
from tests.conftest import wait_for
from tests.daemon.publishing import config, publisher
from tests.daemon.running import TOPICS, box, daemon, stop
from tests.daemon.test_outbox import EVENTS, THEN, counts, fill, tell
from tests.servers.mosquitto import Mosquitto, free_port
from tests.servers.subscriber import Message, Subscriber

SNAPSHOT = ObjectSnapshot(
    id="o1",
    number=1,
    label="person",
    score=0.9,
    top_score=0.9,
    box=(0, 0, 9, 9),
    width=1280,
    height=720,
    first_seen=THEN,
    last_seen=THEN,
    stationary=False,
    zones=(),
    visited=(),
    heading=None,
    sequence=1,
)


@pytest.fixture
def broken(state_directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in the place of the state folder; without it the disk works."""
    monkeypatch.setattr(disk_or_memory, "_RETRY", 0.2)
    state_directory.rmdir()
    state_directory.write_text("")
    return state_directory


@contextlib.contextmanager
def disk(folder: Path, options: str) -> Iterator[None]:
    """A small file system on the folder."""
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "none", folder], capture_output=True, check=False
    ).returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def problem(messages: list[Message]) -> object:
    """What the newest report says is wrong with the outbox; an empty text where there is none yet."""
    reports = [message.json() for message in messages if message.topic == f"{TOPICS}/stats"]
    return reports[-1]["outbox"]["problem"] if reports else ""


def on_disk(running: Publisher) -> bool:
    return running.outbox.problem() is None


def test_events_are_sent_from_memory_and_later_from_the_file(
    broken: Path, broker: Mosquitto, subscriber: Subscriber
) -> None:
    with publisher(config(broker.port)) as running:
        assert "outbox-gate.db cannot be used: File exists" in str(running.outbox.problem())
        wait_for(lambda: running.link.connected, "the connection")
        tell(running, range(3))
        subscriber.wait(lambda messages: len(counts(messages)) == 3, "events from memory")
        wait_for(lambda: running.outbox.status().waiting == 0, "their acknowledgement")  # type: ignore[union-attr]
        broker.kill()
        wait_for(lambda: not running.link.connected, "the loss")
        tell(running, range(3, 6))
        broken.unlink()
        wait_for(lambda: on_disk(running), "the outbox on disk")
        with contextlib.closing(sqlite3.connect(outbox_path(Settings(), "gate"))) as file:
            rows = file.execute("SELECT payload FROM messages ORDER BY row").fetchall()
        assert [json.loads(payload)["count"] for (payload,) in rows] == [3, 4, 5]
        tell(running, range(6, 7))
        broker.start()
        wait_for(lambda: running.link.connected, "the connection", 40)
        wait_for(lambda: read_status(outbox_path(Settings(), "gate")).waiting == 0, "the acknowledgement of all")


def test_what_waits_in_the_file_and_was_kept_there_is_not_forgotten(
    state_directory: Path, broker: Mosquitto, subscriber: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a run before, which was killed: its events, an object that it had announced, and a retained topic."""
    monkeypatch.setattr(disk_or_memory, "_RETRY", 0.2)
    with publisher(config(free_port())) as before:
        tell(before, range(2))
        before.event(ObjectEvent("front", EventType.OBJECT_APPEARED, THEN, "person", object=SNAPSHOT))
        wait_for(lambda: read_status(outbox_path(Settings(), "gate")).waiting == 3, "its events on disk")
    aside = state_directory.with_name("aside")
    state_directory.rename(aside)
    state_directory.write_text("")
    with publisher(config(broker.port)) as running:
        tell(running, range(10, 12))
        subscriber.wait(lambda messages: 11 in counts(messages), "events from memory")
        state_directory.unlink()
        aside.rename(state_directory)
        subscriber.wait(
            lambda messages: any(m.topic == EVENTS and b'"restart"' in m.payload for m in messages), "it left"
        )
        assert counts([m for m in subscriber.messages() if b"object" not in m.payload]) == [10, 11, 0, 1]
        assert on_disk(running)


@pytest.mark.usefixtures("state_directory")
def test_a_zone_that_is_crowded_again_is_not_cleared_late() -> None:
    """Where it is known late what a run before has left open, and this one has reported the zone."""
    kept = {f"crowded/front/{zone}": b"1" for zone in ("porch", "yard")}
    with publisher(config(free_port())) as running:
        running.event(ObjectEvent("front", EventType.ZONE_CROWDED, THEN, count=2, zone="porch"))
        late = running.objects.late(kept)
    assert [(event.type, event.zone) for event in late] == [(EventType.ZONE_CLEARED, "yard")]


def test_what_a_run_before_kept_is_replaced_by_what_becomes_of_it_but_not_what_this_run_keeps(
    state_directory: Path,
) -> None:
    path = outbox_path(Settings(), "gate")
    with contextlib.closing(Outbox(path, Settings())) as before:
        before.update((), (), 0, {"gone": b"old", "other": b"old", "again": b"old"})
    aside = state_directory.with_name("aside")
    state_directory.rename(aside)
    state_directory.write_text("")
    storage = disk_or_memory.Storage(path, Settings())
    storage.outbox.update((), (), 0, {"again": b"new"})
    state_directory.unlink()
    aside.rename(state_directory)
    moved = storage.to_disk(lambda kept: dict.fromkeys(kept) | {"other": b"closed"})
    assert moved is not None
    assert dict(moved.kept) == {"gone": b"old", "other": b"old", "again": b"old"}
    storage.close()
    with contextlib.closing(Outbox(path, Settings())) as after:
        assert dict(after.kept) == {"other": b"closed", "again": b"new"}


def test_a_file_that_cannot_be_used_is_tried_ever_less_often(state_directory: Path) -> None:
    """It may be large, and is checked as a whole each time."""
    state_directory.rmdir()
    state_directory.write_text("")
    storage = disk_or_memory.Storage(outbox_path(Settings(), "gate"), Settings())
    delays = [storage.due - time.monotonic()]
    for _ in range(8):
        assert storage.to_disk(lambda _kept: {}) is None
        delays.append(storage.due - time.monotonic())
    assert 0.5 < delays[0] <= 2.0
    assert 25.0 < delays[-1] <= 60.0


def test_events_that_no_disk_ever_took_are_counted_at_the_end(broken: Path, caplog: pytest.LogCaptureFixture) -> None:
    with publisher(config(free_port())) as running:
        tell(running, range(4))
    assert "4 events are lost: mqtt.outbox.path" in caplog.text
    assert broken.is_file()


def test_a_full_disk_leaves_no_file_that_counts_as_damaged(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    with disk(folder, "size=1m"):
        fill(folder / "filler")
        for _ in range(3):
            with pytest.raises(OSError, match=r"^mqtt\.outbox\.path: .*outbox\.db cannot be used: "):
                Outbox(folder / "outbox.db", Settings())
        assert not list(folder.glob("*corrupt*"))
        (folder / "filler").unlink()
        Outbox(folder / "outbox.db", Settings()).close()


@pytest.mark.parametrize("options", ["size=3m", "size=1m,ro"])
def test_a_daemon_on_a_full_or_read_only_disk_analyses_and_publishes(
    options: str, broker: Mosquitto, subscriber: Subscriber, tmp_path: Path
) -> None:
    street = film(Shot("street", 416, 256, 10.0, seed=21), tmp_path / "street.mp4", 2.0)
    folder = tmp_path / "disk"
    folder.mkdir()
    document = box(broker, {"front": {"source": str(street.file), "loop": True}}, service={"metrics": None})
    document["mqtt"] |= {"outbox": {"path": str(folder / "outbox.db")}, "stats_every": 1}
    document["events"] = {"appear_frames": 1, "gone_after": 0.2}
    with disk(folder, options):
        if "ro" not in options:
            Outbox(folder / "outbox.db", Settings()).close()
            fill(folder / "filler")
        with daemon(tmp_path, document) as process:
            subscriber.wait_for(f"{TOPICS}/front/events", timeout=40)
            subscriber.wait(lambda messages: "outbox.db cannot be used" in str(problem(messages)), "what is wrong", 40)
            if "ro" in options:
                subprocess.run(["mount", "-o", "remount,rw,size=8m", folder], check=True)
            else:
                (folder / "filler").unlink()
            subscriber.wait(lambda messages: problem(messages) is None, "the outbox on disk", 90)
            assert stop(process) < 10
        assert "outbox.db cannot be used" in (tmp_path / "log").read_text()
        assert (folder / "outbox.db").stat().st_size


def test_settings_that_cannot_be_kept_are_no_reason_not_to_start(
    broken: Path, broker: Mosquitto, subscriber: Subscriber, tmp_path: Path
) -> None:
    """Nor a cache that cannot be written: no folder of the daemon's can be used."""
    document = box(broker, {"front": {"source": "rtsp://127.0.0.1:1/a", "enabled": False}}, service={"metrics": None})
    document["mqtt"]["persist_settings"] = True
    with daemon(tmp_path, document) as process:
        subscriber.wait_for(f"{TOPICS}/front/status")
        assert stop(process) < 10

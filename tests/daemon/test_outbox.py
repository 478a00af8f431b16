"""Events with a real broker: each one in the outbox reaches the subscriber, in order, after every kind of failure."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from daemon.config.outbox import Outbox as Settings
from daemon.errors import UsageError
from daemon.outbox.opened import read_status
from daemon.outbox.store import Outbox, outbox_path
from daemon.publish.publisher import Publisher
from daemon.records import Event, EventType
from daemon.stats import Stats
from tests.conftest import ROOT, wait_for
from tests.daemon.publishing import config, publisher
from tests.daemon.test_payloads import check
from tests.servers.mosquitto import HOST, Mosquitto, free_port
from tests.servers.proxy import Proxy
from tests.servers.subscriber import Message, Subscriber

EVENTS = "ospreyd/gate/front/events"
THEN = 1769860800.0
"""when what the events are about was seen, UTC, seconds since the epoch"""


def tell(running: Publisher, numbers: range, camera: str = "front") -> None:
    """Events whose count is their number."""
    for number in numbers:
        running.event(Event(camera, EventType.APPEARED, THEN, "person", number))


def waiting() -> int:
    return read_status(outbox_path(Settings(), "gate")).waiting


def counts(messages: list[Message], camera: str = "front") -> list[int]:
    """Numbers of the events as they came, each once."""
    seen: dict[str, int] = {}
    for message in messages:
        if message.topic == f"ospreyd/gate/{camera}/events":
            event = message.json()
            assert seen.setdefault(event["id"], event["count"]) == event["count"]
    return list(seen.values())


def test_an_event_reaches_the_subscriber_and_leaves_the_outbox(broker: Mosquitto, subscriber: Subscriber) -> None:
    stats = Stats()
    with publisher(config(broker.port), stats) as running:
        wait_for(lambda: running.link.connected, "the connection")
        tell(running, range(7, 8))
        message = subscriber.wait_for(EVENTS)
        event = check("event", message.payload)
        assert message.qos == 1
        assert not message.retained
        assert (event["type"], event["label"], event["count"]) == ("appeared", "person", 7)
        assert event["time"] == "2026-01-31T12:00:00.000000Z"
        wait_for(lambda: waiting() == 0, "an empty outbox")
    acknowledged = stats.totals(()).latency["acknowledged"]
    assert sum(acknowledged.counts) == 1
    assert acknowledged.total == pytest.approx(time.time() - THEN, abs=20)


def test_events_without_a_broker_are_replayed_in_order(tmp_path: Path) -> None:
    with (
        Mosquitto(tmp_path, users={"watcher": "w"}) as broker,
        Subscriber(HOST, broker.port, username="watcher", password="w") as subscriber,
        publisher(config(broker.port, username="osprey", password="o")) as running,
    ):
        tell(running, range(50))
        wait_for(lambda: waiting() == 50, "fifty events on disk")
        wait_for(lambda: "refused the login" in running.link.detail, "the refusal")
        broker.add_user("osprey", "o")
        subscriber.wait(lambda messages: len(counts(messages)) == 50, "fifty events", 40)
        tell(running, range(50, 60))
        subscriber.wait(lambda messages: len(counts(messages)) == 60, "sixty events")
        events = [m.json() for m in subscriber.messages(EVENTS)]
        assert [e["count"] for e in events] == list(range(60))
        assert [e["replayed"] for e in events] == [True] * 50 + [False] * 10
        wait_for(lambda: waiting() == 0, "an empty outbox")


def test_a_killed_broker_loses_nothing(broker: Mosquitto, subscriber: Subscriber) -> None:
    """The network comes back after the subscriber has, or the new broker would have nobody to give the events to."""
    proxy = Proxy(broker.port, random.Random(0))
    with publisher(config(proxy.port)) as running:
        wait_for(lambda: running.link.connected, "the connection")
        tell(running, range(100))
        subscriber.wait(lambda messages: len(counts(messages)) == 100, "a hundred events")
        broker.kill()
        tell(running, range(100, 200))
        wait_for(lambda: not running.link.connected, "the loss of the broker")
        proxy.silent = True
        broker.start()
        wait_for(lambda: "Received SUBSCRIBE" in broker.output(), "the subscriber's return", 40)
        tell(running, range(200, 300))
        proxy.silent = False
        subscriber.wait(lambda messages: len(counts(messages)) == 300, "the other events", 60)
        wait_for(lambda: waiting() == 0, "an empty outbox")
    proxy.close()
    assert counts(subscriber.messages()) == list(range(300))


def test_a_killed_daemon_loses_nothing(broker: Mosquitto, subscriber: Subscriber) -> None:
    program = (
        "import sys, threading\n"
        "from tests.daemon.publishing import config, publisher\n"
        "from tests.daemon.test_outbox import tell\n"
        "with publisher(config(int(sys.argv[1]))) as running:\n"
        "    tell(running, range(200))\n"
        "    threading.Event().wait()\n"
    )
    nowhere = free_port()
    with subprocess.Popen([sys.executable, "-c", program, str(nowhere)], cwd=ROOT) as daemon:
        try:
            wait_for(lambda: waiting() == 200, "two hundred events on disk", 40)
        finally:
            daemon.send_signal(signal.SIGKILL)
    with publisher(config(broker.port)):
        subscriber.wait(lambda messages: len(counts(messages)) == 200, "two hundred events", 40)
    assert counts(subscriber.messages()) == list(range(200))


def test_a_hanging_broker_blocks_nobody_and_gets_every_event(broker: Mosquitto, subscriber: Subscriber) -> None:
    with publisher(config(broker.port)) as running:
        wait_for(lambda: running.link.connected, "the connection")
        broker.signal(signal.SIGSTOP)
        tell(running, range(500))
        wait_for(lambda: waiting() == 500, "five hundred events on disk")
        broker.signal(signal.SIGCONT)
        subscriber.wait(lambda messages: len(counts(messages)) == 500, "five hundred events", 40)
        assert counts(subscriber.messages()) == list(range(500))


def test_a_damaged_file_is_renamed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "outbox.db"
    path.write_bytes(b"no database " * 1000)
    outbox = Outbox(path, Settings())
    try:
        assert outbox.update([("a", b"1")], ()) == 0
        assert [w.payload for w in outbox.read_after(0, 10)] == [b"1"]
    finally:
        outbox.close()
    assert "is damaged" in caplog.text
    assert len(list(tmp_path.glob("outbox.db.corrupt-*"))) == 1


def test_one_process_locks_the_file(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", Settings())
    with pytest.raises(UsageError, match="is in use by a running ospreyd"):
        Outbox(tmp_path / "outbox.db", Settings())
    outbox.close()
    Outbox(tmp_path / "outbox.db", Settings()).close()


def test_max_mb_drops_the_oldest(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", Settings(max_mb=2))
    dropped = sum(outbox.update([("a", bytes(10_000))] * 10, ()) for _ in range(50))
    left = outbox.read_after(0, 1000)
    assert 0 < dropped < 500
    assert [w.row for w in left] == list(range(dropped + 1, 501))
    outbox.update([], [left[0].row, left[1].row, 1], lost=7)
    for counted in (outbox, outbox.status()):
        assert (counted.waiting, counted.dropped) == (500 - dropped - 2, dropped + 7)
    outbox.close()
    again = Outbox(tmp_path / "outbox.db", Settings())
    assert (again.waiting, again.dropped) == (500 - dropped - 2, dropped + 7)
    again.close()


def test_max_age_counts_hours_of_running(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", Settings(max_age_hours=0.1 / 3600))
    outbox.update([("a", b"old")], ())
    wait_for(lambda: outbox.update([("a", b"new")], ()), "the drop of the old one")
    assert b"old" not in [w.payload for w in outbox.read_after(0, 10_000)]
    outbox.close()


def fill(file: Path) -> None:
    """Takes all that is left of the disk."""
    with file.open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(bytes(65536))


@pytest.fixture
def small_disk(tmp_path: Path) -> Path:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system cannot be mounted here")
    return folder


def test_a_full_disk_drops_the_oldest(small_disk: Path) -> None:
    """What the file has in reserve is used first, then the oldest make room."""
    try:
        outbox = Outbox(small_disk / "outbox.db", Settings())
        fill(small_disk / "filler")
        dropped = 0
        for number in range(400):
            dropped += outbox.update([("a", bytes(10_000)), ("a", b"%d" % number)], ())
        left = [w.payload for w in outbox.read_after(0, 10_000)]
        assert left[-1] == b"399"
        assert dropped > 0
        assert [w.row for w in outbox.read_after(0, 10_000)] == list(range(dropped + 1, 801))
        outbox.close()
    finally:
        subprocess.run(["umount", "-l", str(small_disk)], check=True)


def test_outbox_status_and_drop(tmp_path: Path) -> None:
    settings = tmp_path / "gate.yaml"
    settings.write_text("device: gate\nmqtt: {host: localhost}\ncameras: {front: {source: rtsp://a/1}}\n")
    path = outbox_path(Settings(), "gate")
    outbox = Outbox(path, Settings())
    outbox.update([("a", b"1"), ("a", b"2")], ())
    command = [sys.executable, "-m", "daemon", "outbox"]
    said = subprocess.run([*command, "status", settings, "--json"], capture_output=True, check=True, cwd=ROOT).stdout
    assert json.loads(said)["waiting"] == 2
    refused = subprocess.run([*command, "drop", settings], capture_output=True, text=True, check=False, cwd=ROOT)
    assert refused.returncode == 2
    assert "is in use by a running ospreyd" in refused.stderr
    outbox.close()
    dropped = subprocess.run([*command, "drop", settings, "--json"], capture_output=True, check=True, cwd=ROOT).stdout
    assert json.loads(dropped) == {"path": str(path), "dropped": 2}
    assert read_status(path).waiting == 0


def test_outbox_flush(tmp_path: Path, broker: Mosquitto, subscriber: Subscriber) -> None:
    nowhere, settings = free_port(), tmp_path / "gate.yaml"
    with publisher(config(nowhere)) as running:
        tell(running, range(30))
        wait_for(lambda: waiting() == 30, "thirty events on disk")

        def flush(port: int, *more: str) -> subprocess.CompletedProcess[str]:
            mqtt = f"mqtt: {{host: {HOST}, port: {port}}}"
            settings.write_text(f"device: gate\n{mqtt}\ncameras: {{front: {{source: rtsp://a/1}}}}\n")
            command = [sys.executable, "-m", "daemon", "outbox", "flush", str(settings), *more]
            return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=60)

        refused = flush(broker.port)
        assert refused.returncode == 2
        assert "is in use by a running ospreyd" in refused.stderr
    unreached = flush(nowhere, "--seconds=1")
    assert unreached.returncode == 1
    assert "no event was sent, 30 are waiting" in unreached.stderr
    assert json.loads(flush(broker.port, "--json").stdout) == {"sent": 30, "left": 0}
    assert counts(subscriber.messages()) == list(range(30))
    assert all(m.json()["replayed"] for m in subscriber.messages(EVENTS))
    assert not subscriber.messages("ospreyd/gate/status")

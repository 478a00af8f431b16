"""The publisher with a real broker: what subscribers get, what is kept, what is dropped and counted."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.publish.publisher import Publisher
from daemon.records import CameraState, CameraStatus, Drop
from daemon.stats import DaemonCount, Stats
from daemon.system.credits import Credits
from tests.conftest import ROOT, wait_for
from tests.daemon.publishing import INFO, UNREACHABLE, config, publisher, result
from tests.daemon.test_payloads import check
from tests.servers.mosquitto import HOST, Mosquitto, free_port
from tests.servers.subscriber import Message, Subscriber

STATUS, INFO_TOPIC = "ospreyd/gate/status", "ospreyd/gate/info"
FRONT, YARD_STATUS = "ospreyd/gate/front/detections", "ospreyd/gate/yard/status"


def counted(stats: Stats, camera: str = "front") -> tuple[int, dict[Drop, int]]:
    """Published and dropped so far."""
    seen = stats.report((camera,)).cameras[camera]
    return seen.published, dict(seen.dropped)


def feed(running: Publisher, count: int) -> None:
    for sequence in range(1, count + 1):
        running.results([result(sequence)])


def feed_file(running: Publisher, credit: Credits, count: int, camera: str = "front") -> None:
    for sequence in range(1, count + 1):
        credit.take()
        running.results([result(sequence, live=False, camera=camera)])


def wait_online(subscriber: Subscriber) -> None:
    subscriber.wait_for(STATUS, b"online")


def states(messages: list[Message]) -> list[str]:
    """Of the camera yard."""
    return [message.json()["state"] for message in messages if message.topic == YARD_STATUS]


def sequences(messages: list[Message]) -> list[int]:
    return [message.json()["sequence"] for message in messages]


def test_what_a_subscriber_gets(broker: Mosquitto, subscriber: Subscriber) -> None:
    stats = Stats()
    with publisher(config(broker.port, stats_every=0.2), stats) as running:
        wait_online(subscriber)
        running.camera_status(UNREACHABLE)
        running.results([result(1, count=3)])
        frame = check("detections", subscriber.wait_for(FRONT).payload)
        assert (frame["device"], frame["camera"], frame["sequence"]) == ("gate", "front", 1)
        assert len(frame["objects"]) == 3
        assert check("info", subscriber.wait_for(INFO_TOPIC).payload)["cameras"] == ["front", "yard"]
        assert check("camera-status", subscriber.wait_for(YARD_STATUS).payload)["reason"] == "unreachable"
        subscriber.wait(
            lambda messages: [
                m.json()["cameras"]["front"]["published"] for m in messages if m.topic.endswith("/stats")
            ].count(1),
            "stats that count the message",
        )
        for message in subscriber.messages("ospreyd/gate/stats"):
            check("stats", message.payload)
    assert counted(stats) == (1, {})


def test_only_states_are_retained(broker: Mosquitto, subscriber: Subscriber) -> None:
    with publisher(config(broker.port, stats_every=0.1)) as running:
        running.camera_status(UNREACHABLE)
        wait_online(subscriber)
        running.results([result()])
        for topic in (FRONT, YARD_STATUS, INFO_TOPIC, "ospreyd/gate/stats"):
            subscriber.wait_for(topic)
        with Subscriber(HOST, broker.port) as late:
            for topic in (STATUS, YARD_STATUS, INFO_TOPIC):
                assert late.wait_for(topic).retained
            assert {m.topic for m in late.messages() if m.retained} == {STATUS, YARD_STATUS, INFO_TOPIC}


def test_a_clean_stop_says_offline_once_and_the_will_stays_unused(broker: Mosquitto, subscriber: Subscriber) -> None:
    with publisher(config(broker.port)) as running:
        wait_online(subscriber)
        feed(running, 50)
        assert running.stop(5)
    subscriber.wait_for(STATUS, b"offline")
    wait_for(lambda: "Received DISCONNECT from ospreyd-gate" in broker.output(), "the DISCONNECT in the broker's log")
    assert sequences(subscriber.messages(FRONT)) == list(range(1, 51)), "what waited was sent before the farewell"
    assert [m.payload for m in subscriber.messages(STATUS)] == [b"online", b"offline"]
    with Subscriber(HOST, broker.port) as late:
        assert late.wait_for(STATUS).payload == b"offline"


def test_the_last_will_of_a_killed_daemon(broker: Mosquitto, subscriber: Subscriber) -> None:
    command = [sys.executable, "-m", "tests.daemon.publishing", str(broker.port)]
    with subprocess.Popen(command, cwd=ROOT) as daemon:
        wait_online(subscriber)
        subscriber.wait_for(YARD_STATUS)
        daemon.send_signal(signal.SIGKILL)
    subscriber.wait_for(STATUS, b"offline")
    assert "Received DISCONNECT" not in broker.output()
    with Subscriber(HOST, broker.port) as late:
        assert late.wait_for(STATUS).payload == b"offline"


def test_a_state_that_changes_while_the_connection_is_told_comes_once(
    broker: Mosquitto, subscriber: Subscriber, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The link is connected, and logs that before it tells the publisher, which sends everything then."""
    failures: list[BaseException] = []
    running = Publisher(config(broker.port), INFO, Stats(), failures.append)

    def report_meanwhile(record: logging.LogRecord) -> bool:
        if running.link.connected and not subscriber.messages(YARD_STATUS):
            running.camera_status(UNREACHABLE)
            time.sleep(0.3)  # in which nothing must be sent
        return True

    monkeypatch.setattr(logging.getLogger("ospreyd.mqtt"), "filter", report_meanwhile)
    with caplog.at_level(logging.INFO, "ospreyd.mqtt"):
        running.start()
        subscriber.wait_for(YARD_STATUS)
        running.camera_status(CameraStatus("yard", CameraState.STREAMING, None, "", 2.0, 2.0))
        subscriber.wait(lambda messages: "streaming" in states(messages), "the next state")
        assert running.stop(5)
    assert states(subscriber.messages()) == ["offline", "streaming"]
    assert failures == []


def test_states_come_again_after_a_broker_that_forgot_them(broker: Mosquitto, subscriber: Subscriber) -> None:
    with publisher(config(broker.port)) as running:
        running.camera_status(UNREACHABLE)
        running.camera_status(CameraStatus("front", CameraState.STREAMING, None, "", 2.0, 2.0))
        wait_online(subscriber)
        subscriber.wait_for("ospreyd/gate/front/status")
        broker.kill()
        wait_for(lambda: not running.link.connected, "the loss of the broker")
        running.camera_status(CameraStatus("front", CameraState.STALLED, None, "", 3.0, 3.0))
        broker.start()
        wait_for(lambda: running.link.connected, "the new connection")
        with Subscriber(HOST, broker.port) as late:
            assert late.wait_for(STATUS).payload == b"online"
            assert check("info", late.wait_for(INFO_TOPIC).payload)["version"] == INFO.version
            assert check("camera-status", late.wait_for(YARD_STATUS).payload)["state"] == "offline"
            late.wait(
                lambda messages: any(
                    m.topic == "ospreyd/gate/front/status" and m.json()["state"] == "stalled" for m in messages
                ),
                "the state that changed while the broker was away",
            )


def test_live_frames_without_a_broker_are_dropped_and_counted() -> None:
    stats = Stats()
    with publisher(config(free_port()), stats) as running:
        feed(running, 10)
        wait_for(lambda: counted(stats)[1] == {Drop.NOT_CONNECTED: 10}, "ten counted drops")
    assert counted(stats) == (0, {Drop.NOT_CONNECTED: 10})


def test_a_file_waits_for_the_broker_and_live_frames_do_not_wait_behind_it(tmp_path: Path) -> None:
    """None of its frames is missing when the broker lets us in, whatever became of live ones."""
    stats, credit = Stats(), Credits(limit=600)
    with (
        Mosquitto(tmp_path, users={"watcher": "w"}) as broker,
        Subscriber(HOST, broker.port, username="watcher", password="w") as subscriber,
        publisher(config(broker.port, username="osprey", password="o"), stats, credit) as running,
    ):
        feed_file(running, credit, 600, "yard")
        assert credit.room() == 0
        wait_for(lambda: "refused the login" in running.link.detail, "the refusal")
        feed(running, 20)
        wait_for(lambda: counted(stats)[1] == {Drop.NOT_CONNECTED: 20}, "the live frames to be dropped")
        assert counted(stats, "yard") == (0, {})
        assert credit.room() == 0
        broker.add_user("osprey", "o")
        yard = "ospreyd/gate/yard/detections"
        subscriber.wait(lambda messages: sum(m.topic == yard for m in messages) == 600, "600 frames")
        assert sequences(subscriber.messages(yard)) == list(range(1, 601))
        wait_for(lambda: credit.room() == 600, "every credit to be given back")
    assert counted(stats, "yard") == (600, {})


def test_a_broker_that_hangs_costs_the_oldest_frames(broker: Mosquitto, subscriber: Subscriber) -> None:
    """Nothing waits without bound, nobody is held up, and what is dropped is counted."""
    stats = Stats()
    with publisher(config(broker.port), stats) as running:
        wait_online(subscriber)
        broker.signal(signal.SIGSTOP)
        pushed = 0
        while not counted(stats)[1].get(Drop.PUBLISH_QUEUE):
            pushed += 1
            running.results([result(pushed, count=300)])
            assert pushed < 5000
        broker.signal(signal.SIGCONT)
        wait_for(lambda: sum(counted(stats)[1].values()) + counted(stats)[0] == pushed, "every frame to be counted")
        published, dropped = counted(stats)
        assert set(dropped) == {Drop.PUBLISH_QUEUE}
        subscriber.wait(lambda messages: sum(m.topic == FRONT for m in messages) == published, "what was published")
        assert sequences(subscriber.messages(FRONT))[-1] == pushed, "the newest frame is among them"


def test_what_was_under_way_when_the_connection_broke_was_not_published(
    broker: Mosquitto, subscriber: Subscriber
) -> None:
    stats = Stats()
    with publisher(config(broker.port), stats) as running:
        wait_online(subscriber)
        broker.signal(signal.SIGSTOP)
        pushed = 0
        while not stats.totals(())[DaemonCount.NETWORK_FULL]:
            pushed += 1
            running.results([result(pushed, count=300)])
            assert pushed < 5000
        broker.kill()
        wait_for(lambda: counted(stats)[0] + sum(counted(stats)[1].values()) == pushed, "every frame to be counted")
        published, dropped = counted(stats)
        assert published, "what the socket took"
        assert dropped[Drop.NOT_CONNECTED] >= 256, "what waited for it"
        broker.start()
        wait_for(lambda: running.link.connected, "the connection")
        running.results([result(pushed + 1)])
        wait_for(lambda: counted(stats)[0] == published + 1, "a frame on the new connection")


def test_a_shutdown_lets_a_file_go_that_waits_for_a_broker() -> None:
    stats, credit = Stats(), Credits(limit=400)
    with publisher(config(free_port(), formats={"deepstream": {}}), stats, credit) as running:
        feed_file(running, credit, 400)
        wait_for(lambda: not running.link.detail.endswith("not answered yet"), "an attempt to connect")
        assert credit.room() == 0
        running.hurry()
        wait_for(lambda: credit.room() == 400, "every credit to be given back")
        started = time.monotonic()
        assert running.stop(3)
        assert time.monotonic() - started < 1.0
    assert counted(stats) == (0, {Drop.NOT_CONNECTED: 400})


def test_stop_keeps_its_time_while_the_broker_hangs(broker: Mosquitto, subscriber: Subscriber) -> None:
    with publisher(config(broker.port)) as running:
        wait_online(subscriber)
        broker.signal(signal.SIGSTOP)
        for sequence in range(1, 300):
            running.results([result(sequence, count=300)])
        started = time.monotonic()
        assert not running.stop(1)
        assert time.monotonic() - started < 1.5
        broker.signal(signal.SIGCONT)
        subscriber.wait_for(STATUS, b"offline")


def test_results_after_the_stop_are_counted(broker: Mosquitto, subscriber: Subscriber) -> None:
    stats, credit = Stats(), Credits()
    with publisher(config(broker.port), stats, credit) as running:
        wait_online(subscriber)
        assert running.stop(5)
        feed(running, 1)
        feed_file(running, credit, 1)
        assert credit.room() == Credits().room()
    assert counted(stats) == (0, {Drop.PUBLISH_QUEUE: 2})


def test_an_unexpected_exception_reaches_the_owner(broker: Mosquitto) -> None:
    failed = threading.Event()
    failures: list[BaseException] = []

    def fail(error: BaseException) -> None:
        failures.append(error)
        failed.set()

    running = Publisher(config(broker.port), INFO, Stats(), fail)
    running.start()
    running.results([replace(result(), labels=())])
    assert failed.wait(10)
    assert isinstance(failures[0], IndexError)
    assert running.stop(5)

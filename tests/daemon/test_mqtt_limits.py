"""Brokers with a maximum packet size, without retained messages or with QoS 0 only: no connection is lost."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from daemon.demo.film import Shot, film
from daemon.media.snapshots import Snapshots, Subject
from daemon.mqtt import packets
from daemon.mqtt.batch_writer import BatchWriter
from daemon.mqtt.limits import BrokerLimits
from daemon.mqtt.message_writer import MessageWriter
from daemon.mqtt.outgoing import Delivery, Handover, Message
from daemon.publish.publisher import Publisher
from daemon.records import Drop, Event, EventType
from daemon.stats import CameraCount, DaemonCount, Stats
from daemon.system.credits import Credits
from engines.pictures import BgrPicture
from tests.conftest import wait_for
from tests.daemon.linking import linked
from tests.daemon.publishing import INFO, config, publisher, result
from tests.daemon.running import TOPICS, box, daemon, has, stop
from tests.daemon.test_outbox import counts, tell, waiting
from tests.servers.mosquitto import HOST, Mosquitto
from tests.servers.subscriber import Subscriber

LIMIT = 2000  # bytes
LEAST = "\n".join(["retain_available false", "max_qos 0", "max_inflight_messages 1", "max_keepalive 10"])
"""a broker that has none of the optional features"""
STATUS, DETECTIONS = "ospreyd/gate/status", "ospreyd/gate/front/detections"
INFO_TOPIC, EVENTS = "ospreyd/gate/info", "ospreyd/gate/front/events"


@pytest.fixture
def broker(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path, more=[getattr(request, "param", f"max_packet_size {LIMIT}")]) as made:
        yield made


@pytest.fixture
def running(broker: Mosquitto, stats: Stats) -> Iterator[Publisher]:
    with publisher(config(broker.port), stats) as made:
        wait_for(lambda: made.link.connected, "the connection")
        yield made


@pytest.fixture
def stats() -> Stats:
    return Stats()


def connections(broker: Mosquitto) -> int:
    """How often our client has connected."""
    return broker.output().count("as ospreyd-gate ")


def named(caplog: pytest.LogCaptureFixture, topic: str) -> int:
    """Warnings that a message on the topic was not sent."""
    return sum(f"bytes on {topic} were not sent" in message for message in caplog.messages)


@pytest.mark.parametrize("payload", [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152])
@pytest.mark.parametrize("topic", ["a", "gate/höhe/detections"])
def test_publish_size_matches_the_packet(payload: int, topic: str) -> None:
    for properties in (b"", b"\5properties"):
        packet = packets.publish(topic, bytes(payload), properties)
        assert len(packet) == packets.publish_size(topic, payload, len(properties), qos=0)


@pytest.mark.parametrize("limit", [128 + 40, LIMIT, 16_384 + 40, 131_072])
def test_the_largest_packet_that_fits_is_sent(tmp_path: Path, limit: int) -> None:
    with (
        Mosquitto(tmp_path, more=[f"max_packet_size {limit}"]) as broker,
        Subscriber(HOST, broker.port, "gate/+") as subscriber,
        linked(broker.port) as recorded,
    ):
        recorded.wait_connected()
        link = recorded.link
        ways: dict[str, Callable[[bytes], object]] = {
            "frame": lambda payload: link.publish("gate/frame", payload),
            "state": lambda payload: link.publish("gate/state", payload, retain=True),
            "event": lambda payload: link.deliver("gate/event", payload),
            "other": lambda payload: link.send(Message("gate/other", payload, "image/jpeg")),
        }
        for name, send in ways.items():
            size = next(size for size in range(limit, 0, -1) if send(bytes(size)) is not Handover.TOO_LARGE)
            subscriber.wait_for(f"gate/{name}", bytes(size))
        assert connections(broker) == 1
        assert link.max_payload(Message("gate/other", b"", "image/jpeg")) in range(limit - 60, limit)


def test_too_large_frames_are_counted_and_logged_once(
    broker: Mosquitto, running: Publisher, stats: Stats, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with Subscriber(HOST, broker.port, DETECTIONS) as subscriber:
        running.results([result(1), result(2, count=300), result(3, count=300), result(4)])
        subscriber.wait(lambda messages: len(messages) == 2, "the two that fit")
        assert [message.json()["sequence"] for message in subscriber.messages()] == [1, 4]
    wait_for(lambda: stats.totals(("front",)).cameras["front"][CameraCount.PUBLISHED] == 2, "two that are written")
    totals = stats.totals(("front",))
    assert totals.cameras["front"].dropped == {Drop.PACKET_TOO_LARGE: 2}
    assert totals[DaemonCount.TOO_LARGE] == 2
    assert named(caplog, DETECTIONS) == 1
    assert connections(broker) == 1


def test_too_large_frames_of_a_file_do_not_stop_it(
    broker: Mosquitto,
) -> None:
    credit = Credits()
    with Subscriber(HOST, broker.port, DETECTIONS) as subscriber, publisher(config(broker.port), None, credit) as made:
        for number in range(20):
            credit.take()
            made.results([result(number, live=False, count=300 if number % 2 else 1)])
        subscriber.wait(lambda messages: len(messages) == 10, "those that fit")
        room = Credits().room()
        wait_for(lambda: credit.room() == room, "the end of all of them")


def test_a_too_large_state_clears_the_previous_one(
    broker: Mosquitto, running: Publisher, caplog: pytest.LogCaptureFixture
) -> None:
    with Subscriber(HOST, broker.port) as subscriber:
        subscriber.wait_for(INFO_TOPIC)
        running.info(replace(INFO, version="9" * LIMIT))
        subscriber.wait_for(INFO_TOPIC, b"")
    with Subscriber(HOST, broker.port) as later:
        later.wait_for(STATUS, b"online")
        assert INFO_TOPIC not in {message.topic for message in later.messages()}
    assert named(caplog, INFO_TOPIC) == 1
    assert connections(broker) == 1


@pytest.mark.parametrize("broker", ["message_size_limit 100000"], indirect=True)
def test_an_unannounced_size_limit_keeps_the_connection(
    broker: Mosquitto, running: Publisher, stats: Stats, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        running.picture(Subject("front"), bytes(200_000))
    wait_for(lambda: stats.totals(())[DaemonCount.TOO_LARGE] == 2, "two refusals")
    assert sum("200000 bytes on ospreyd/gate/front/snapshot" in message for message in caplog.messages) == 1
    assert connections(broker) == 1


@pytest.mark.parametrize("broker", ["max_packet_size 100000", "max_packet_size 5000"], indirect=True)
def test_snapshots_are_scaled_to_fit(broker: Mosquitto, running: Publisher) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (1080, 1920, 3), np.uint8)
    failures: list[BaseException] = []
    snapshots = Snapshots(running.picture, running.largest_picture, failures.append)
    snapshots.start()
    with Subscriber(HOST, broker.port, "ospreyd/gate/front/snapshot") as subscriber:
        snapshots.request("front", annotated=False)
        snapshots.offer(result(1), BgrPicture(noise))
        subscriber.wait(lambda messages: messages, "the picture", 60)
        limit = running.largest_picture(Subject("front"))
        assert limit is not None
        assert limit / 3 < len(subscriber.messages()[0].payload) <= limit
    snapshots.stop()
    assert snapshots.join(20)
    assert not failures
    assert connections(broker) == 1


@pytest.mark.parametrize("broker", [f"max_packet_size {LIMIT}", f"message_size_limit {LIMIT}"], indirect=True)
def test_a_too_large_event_leaves_the_outbox(
    broker: Mosquitto, running: Publisher, caplog: pytest.LogCaptureFixture
) -> None:
    """With a limit that the broker has announced, and with one that only its PUBACK tells."""
    with Subscriber(HOST, broker.port, "ospreyd/gate/+/events") as subscriber:
        tell(running, range(1))
        running.event(Event("front", EventType.APPEARED, time.time(), "x" * LIMIT, 1))
        tell(running, range(2, 4))
        subscriber.wait(lambda messages: counts(messages) == [0, 2, 3], "the others")
        wait_for(lambda: waiting() == 0, "an outbox that is empty")
    status = running.outbox.status()
    assert status is not None
    assert status.dropped == 1
    assert sum(f"an event on {EVENTS} is dropped" in message for message in caplog.messages) == 1
    assert connections(broker) == 1


@pytest.mark.parametrize(
    "broker", ["retain_available false", "max_qos 0", "max_inflight_messages 1", LEAST], indirect=True
)
def test_a_broker_without_retain_or_qos_1_gets_every_message(
    broker: Mosquitto, running: Publisher, stats: Stats
) -> None:
    with Subscriber(HOST, broker.port) as subscriber:
        running.info(INFO)
        subscriber.wait_for(INFO_TOPIC)
        running.results([result(number) for number in range(50)])
        tell(running, range(20))
        subscriber.wait(lambda messages: len([m for m in messages if m.topic == DETECTIONS]) == 50, "the frames")
        subscriber.wait(lambda messages: counts(messages) == list(range(20)), "the events")
        wait_for(lambda: waiting() == 0, "an outbox that is empty")
        assert running.send(Message("ospreyd/gate/answer", b"{}", "application/json"))
        subscriber.wait_for("ospreyd/gate/answer")
        running.stop(5)
        subscriber.wait_for(STATUS, b"offline")
    assert not stats.totals(("front",)).cameras["front"].dropped


@pytest.mark.parametrize("broker", ["retain_available false", "max_qos 0", LEAST], indirect=True)
def test_a_refused_last_will_is_retried_without_retain_or_qos_1(broker: Mosquitto) -> None:
    with Subscriber(HOST, broker.port, "gate/status") as subscriber, linked(broker.port) as recorded:
        recorded.wait_connected()
        subscriber.wait_for("gate/status", b"online")
        assert isinstance(recorded.link.deliver("gate/event", b"{}"), Delivery)
        assert [state.connected for state in recorded.states] == [True], "no refusal is reported"


@pytest.mark.parametrize("broker", [f"max_packet_size 20000\n{LEAST}"], indirect=True)
def test_a_daemon_with_pictures_and_formats_keeps_its_connections(broker: Mosquitto, tmp_path: Path) -> None:
    street = film(Shot("street", 640, 480, 10.0, seed=21), tmp_path / "street.mp4", 3.0)
    camera = {"source": str(street.file), "pace": "as-fast-as-possible"}
    document = box(broker, {"front": camera}, events={"appear_frames": 1, "snapshot": "annotated"})
    document["mqtt"]["formats"] = {"frigate": {}, "homeassistant": {}, "deepstream": {}}
    with Subscriber(HOST, broker.port) as subscriber, daemon(tmp_path, document) as process:
        subscriber.wait(partial(has, len(street.truths), "front"), "every frame", 60)
        for topic in (f"{TOPICS}/front/snapshot", f"{TOPICS}/front/image", "frigate/front/person/snapshot"):
            assert 10_000 < len(subscriber.wait_for(topic).payload) < 20_000
        stop(process)
    assert [broker.output().count(f" as {client} ") for client in ("ospreyd-box", "ospreyd-box.1")] == [1, 1]
    assert "were not sent" not in (tmp_path / "log").read_text(encoding="utf-8")


@pytest.mark.parametrize("mqtt5", [True, False])
@pytest.mark.parametrize("limit", [130, 140, 16_400, 16_500, 150_000, 2_100_000, 2_100_100])
def test_the_largest_payload_fits_and_hardly_a_larger_one_would(limit: int, mqtt5: bool) -> None:
    """At every number of bytes that the packet's length takes; the client is not connected."""
    client = Client(CallbackAPIVersion.VERSION2)
    batch = BatchWriter(lambda _: None, lambda: None)
    writer = MessageWriter(client, batch, BrokerLimits(announced=limit), mqtt5=mqtt5, on_too_large=lambda *_: None)
    message = Message("gate/front/snapshot", b"", "image/jpeg")
    size = writer.max_payload(message)
    assert writer.send(replace(message, payload=bytes(size))) is not Handover.TOO_LARGE
    assert writer.send(replace(message, payload=bytes(size + 4))) is Handover.TOO_LARGE

"""Packets written without paho: brokers accept them, complete and in order, and each is reported once."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import BinaryIO

import pytest

from daemon.mqtt.batch_writer import BatchWriter
from daemon.mqtt.outgoing import Delivery, FrameReceipt, Handover
from tests.conftest import wait_for
from tests.daemon.linking import Recorded, linked
from tests.servers import certificates
from tests.servers.amqtt import Amqtt
from tests.servers.mosquitto import HOST, Mosquitto, free_port
from tests.servers.subscriber import Message, Subscriber

TOPIC = "gate/höhe/detections"
CONNECT, PUBLISH = 0x10, 0x30
ACCEPTED = bytes([0x20, 3, 0, 0, 0])
"""CONNACK in MQTT 5"""
AROUND = 100  # bytes that a packet has besides its payload, at most


def test_packets_of_every_length_in_mqtt_5(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, Subscriber(HOST, broker.port, TOPIC) as subscriber:
        with linked(broker.port) as recorded:
            assert recorded.wait_connected().endswith("MQTT 5")
            check_lengths(recorded, subscriber, [0, 1, 128, 16384, 2097152])
        first = subscriber.messages()[0]
        assert (first.qos, first.retained, first.content_type) == (0, False, "application/json")


def test_packets_of_every_length_in_mqtt_3_1_1(tmp_path: Path) -> None:
    with (
        Amqtt(tmp_path) as broker,
        Subscriber(HOST, broker.port, TOPIC, mqtt5=False) as subscriber,
        linked(broker.port) as recorded,
    ):
        assert recorded.wait_connected().endswith("MQTT 3.1.1")
        check_lengths(recorded, subscriber, [1, 128, 16384])


def check_lengths(recorded: Recorded, subscriber: Subscriber, limits: list[int]) -> None:
    """Of packets around these, where the length's length changes."""
    sizes = sorted({size for limit in limits for size in (limit, *range(max(0, limit - AROUND), limit, 7))})
    for size in sizes:
        wait_for(lambda: recorded.link.publish(TOPIC, size.to_bytes(4, "big") + bytes(size)) is Handover.TAKEN, "room")  # noqa: B023
    subscriber.wait(lambda messages: len(messages) == len(sizes), "all of them", 60)
    assert [(int.from_bytes(m.payload[:4], "big"), len(m.payload) - 4) for m in subscriber.messages()] == [
        (size, size) for size in sizes
    ]


@contextmanager
def brokers(tmp_path: Path, kind: str) -> Iterator[tuple[Mosquitto, Subscriber, Recorded]]:
    """A link of that kind to a Mosquitto, whose other port is a subscriber's."""
    folder = certificates.make(tmp_path / "certificates") if kind == "tls" else None
    more = ("protocol websockets",) if kind == "websockets" else ()
    mqtt: dict[str, object] = {"tls": {"ca": folder / "ca.crt"}} if folder else {}
    if more:
        mqtt["transport"] = "websockets"
    plain = free_port()
    with (
        Mosquitto(tmp_path, tls=folder, more=(*more, f"listener {plain} {HOST}")) as broker,
        Subscriber(HOST, plain, "gate/+/+") as subscriber,
        linked(broker.port, **mqtt) as recorded,
    ):
        recorded.wait_connected()
        yield broker, subscriber, recorded


def numbers(messages: list[Message], topic: str) -> list[int]:
    """What stands first in those of a topic."""
    return [int.from_bytes(m.payload[:4], "big") for m in messages if m.topic == topic]


def hand_over(recorded: Recorded, events: int) -> int:
    """Events, each larger than the socket takes, and then as many frames as are taken; returns how many."""
    for number in range(events):
        payload = number.to_bytes(4, "big") + bytes(6_000_000)
        assert isinstance(recorded.link.deliver("gate/front/events", payload), Delivery)
    frames = 0
    while recorded.link.publish("gate/front/detections", frames.to_bytes(4, "big") + bytes(10_000)) is Handover.TAKEN:
        frames += 1
    return frames


@pytest.mark.parametrize("kind", ["tcp", "tls", "websockets"])
def test_partial_writes_resume_when_the_broker_continues(tmp_path: Path, kind: str) -> None:
    """The socket takes a part of paho's packet: none of ours may come into the middle of it, and it is not lost."""
    with brokers(tmp_path, kind) as (broker, subscriber, recorded):
        broker.signal(signal.SIGSTOP)
        frames = hand_over(recorded, events=2)
        assert frames >= 256
        broker.signal(signal.SIGCONT)
        subscriber.wait(lambda messages: len(messages) == frames + 2, "all of them", 60)
        messages = subscriber.messages()
        assert numbers(messages, "gate/front/detections") == list(range(frames))
        assert numbers(messages, "gate/front/events") == [0, 1]
        assert len(recorded.states) == 1, "the connection has lasted"


def test_paho_packets_wait_for_a_partial_batch() -> None:
    """The socket takes a part of ours: none of paho's may come into the middle of it."""
    frame, event = b"f" * 8_000_000, b"e" * 10
    with socket.create_server((HOST, 0)) as server, linked(server.getsockname()[1]) as recorded:
        peer, _ = server.accept()
        with peer, peer.makefile("rb") as stream:
            assert packet(stream)[0] == CONNECT
            peer.sendall(ACCEPTED)
            recorded.wait_connected()
            assert b"online" in packet(stream)[1]
            assert recorded.link.publish("gate/front/detections", frame) is Handover.TAKEN
            first = stream.read(1)  # it is under way, and more than the socket takes
            assert isinstance(recorded.link.deliver("gate/front/events", event), Delivery)
            kind, body = packet(stream, first)
            assert (kind, body.endswith(frame)) == (PUBLISH, True)
            kind, body = packet(stream)
            assert (kind, body.endswith(event)) == (PUBLISH | 0x02, True)


def packet(stream: BinaryIO, first: bytes = b"") -> tuple[int, bytes]:
    """The next MQTT packet, or the rest of one: its first byte, and what follows its length."""
    first = first or stream.read(1)
    remaining = 0
    for shift in (0, 7, 14, 21):
        part = stream.read(1)[0]
        remaining |= (part & 127) << shift
        if part < 128:
            break
    return first[0], stream.read(remaining)


def test_offline_is_published_after_queued_messages(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, Subscriber(HOST, broker.port) as subscriber, linked(broker.port) as recorded:
        recorded.wait_connected()
        for _ in range(200):
            assert recorded.link.publish("gate/stats", bytes(50_000)) is Handover.TAKEN
        assert recorded.link.stop(20)
        subscriber.wait_for("gate/status", b"offline")
        messages = [m for m in subscriber.messages() if m.topic in ("gate/stats", "gate/status")]
        assert len(messages) == 202
        assert messages[-1].payload == b"offline"


def test_a_single_message_is_sent_immediately(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, Subscriber(HOST, broker.port) as subscriber, linked(broker.port) as recorded:
        recorded.wait_connected()
        took = []
        for number in range(20):
            handed = time.monotonic()
            assert recorded.link.publish("gate/stats", str(number).encode()) is Handover.TAKEN
            took.append(subscriber.wait_for("gate/stats", str(number).encode()).at - handed)
        assert median(took) < 0.2, "the loop looks by itself every second"


def test_receipts_match_the_bytes_written() -> None:
    ours, other = socket.socketpair()
    with ours, other:
        ours.setblocking(False)
        told: list[FrameReceipt] = []
        batch = BatchWriter(told.extend, lambda: None)
        packet, given, came = bytes(10_007), 0, 0
        while batch.add(packet, FrameReceipt("front", float(given))):
            given += 1
        while len(told) < 50:
            assert batch.write(ours)
            if batch.mid_write:  # it is full
                came += len(other.recv(15_000))
        lost = batch.close()
        assert not batch.add(packet, None)
        ours.close()
        while data := other.recv(65_536):
            came += len(data)
    assert came // len(packet) == len(told)
    assert [number for _, number in told + lost] == list(range(given))

"""Limits in a CONNACK and codes in a PUBACK, from a scripted broker."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from daemon.mqtt.failure_messages import PACKET_TOO_LARGE
from daemon.mqtt.outgoing import Delivery, Handover, Message
from tests.conftest import wait_for
from tests.daemon.linking import Recorded, linked
from tests.daemon.test_mqtt_batch_writer import CONNECT, PUBLISH, packet
from tests.servers.mosquitto import HOST, Mosquitto

RECEIVE_MAXIMUM, SERVER_KEEP_ALIVE, MAXIMUM_PACKET_SIZE, NO_WILDCARDS, NO_RETAIN = 0x21, 0x13, 0x27, 0x28, 0x25
SUBSCRIBE, PINGREQ = 0x80, 0xC0
RETAIN_NOT_SUPPORTED, UNSUPPORTED_PROTOCOL_VERSION = 154, 132
LARGE = 5000  # bytes


@contextmanager
def accepted(
    properties: bytes, *patterns: str, online: bool = True
) -> Iterator[tuple[Recorded, socket.socket, BinaryIO]]:
    """A link to a broker that has accepted it with these properties, and both ends of what the broker reads."""
    with (
        socket.create_server((HOST, 0)) as server,
        linked(server.getsockname()[1], *patterns) as recorded,
        server.accept()[0] as peer,
        peer.makefile("rb") as stream,
    ):
        accept(peer, stream, properties, online=online)
        recorded.wait_connected()
        yield recorded, peer, stream


def accept(peer: socket.socket, stream: BinaryIO, properties: bytes = b"", *, online: bool = True) -> bytes:
    """Accepts a connection with these properties, and acknowledges its presence; the CONNECT without its header."""
    peer.settimeout(20)
    kind, connect = packet(stream)
    assert kind == CONNECT
    mqtt5 = bytes([len(properties)]) + properties if connect[6] == 5 else b""
    peer.sendall(bytes([0x20, 2 + len(mqtt5), 0, 0]) + mqtt5)
    if online:
        assert b"online" in packet(stream)[1]
        peer.sendall(bytes([0x40, 2, 0, 1]))
    return connect


@contextmanager
def reconnected(
    server: socket.socket, recorded: Recorded, properties: bytes = b""
) -> Iterator[tuple[socket.socket, BinaryIO]]:
    """The next connection of a link, accepted with these properties; it ends with the block."""
    with server.accept()[0] as peer, peer.makefile("rb") as stream:
        accept(peer, stream, properties)
        recorded.wait_connected()
        yield peer, stream
        peer.shutdown(socket.SHUT_RDWR)
    wait_for(lambda: not recorded.link.state.connected, "the end of the connection")


def refuse_large(peer: socket.socket, stream: BinaryIO, recorded: Recorded) -> None:
    """Ends the connection because of a message, as a broker does that does not announce its limit."""
    assert isinstance(recorded.link.deliver("gate/event", bytes(LARGE)), Delivery)
    assert len(packet(stream)[1]) > LARGE
    peer.sendall(bytes([0xE0, 1, PACKET_TOO_LARGE]))
    wait_for(lambda: not recorded.link.state.connected, "the end of the connection")


def maximum_packet_size(size: int) -> bytes:
    return bytes([MAXIMUM_PACKET_SIZE]) + size.to_bytes(4, "big")


def test_receive_maximum_is_respected() -> None:
    with accepted(bytes([RECEIVE_MAXIMUM, 0, 2])) as (recorded, peer, stream):
        for number in range(6):
            assert isinstance(recorded.link.deliver("gate/event", bytes([number])), Delivery)
        for number in range(0, 6, 2):
            came = [packet(stream) for _ in range(2)]
            assert [body[-1] for _, body in came] == [number, number + 1]
            assert recorded.link.publish("gate/frame", b"f") is Handover.TAKEN
            assert packet(stream)[0] == PUBLISH, "a message that needs no acknowledgement is next"
            for kind, body in came:
                assert kind == PUBLISH | 0x02
                at = 2 + int.from_bytes(body[:2], "big")
                peer.sendall(bytes([0x40, 2, *body[at : at + 2]]))


def test_server_keep_alive_is_respected() -> None:
    with accepted(bytes([SERVER_KEEP_ALIVE, 0, 1])) as (_, peer, stream):
        began = time.monotonic()
        assert packet(stream)[0] == PINGREQ
        peer.sendall(bytes([0xD0, 0]))
        assert time.monotonic() - began < 10, "our own keep-alive is longer"


@pytest.mark.parametrize(
    ("properties", "asked"),
    [
        (b"", ["gate/+/set", "gate/command", "x" * 100]),
        (bytes([NO_WILDCARDS, 0]), ["gate/command", "x" * 100]),
        (bytes([MAXIMUM_PACKET_SIZE, 0, 0, 0, 60]), ["gate/+/set", "gate/command"]),
    ],
)
def test_a_refused_topic_filter_does_not_affect_others(
    properties: bytes, asked: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    patterns = ("gate/+/set", "gate/command", "x" * 100)
    with accepted(properties, *patterns) as (_, _peer, stream):
        for pattern in asked:
            kind, body = packet(stream)
            assert (kind & 0xF0, body[5:-1].decode()) == (SUBSCRIBE, pattern)
        denied = [p for p in patterns if any(f"the subscription to {p}:" in message for message in caplog.messages)]
        assert sorted([*asked, *denied]) == sorted(patterns)


@pytest.mark.parametrize("code", [149, 150, 255])
def test_an_invalid_puback_code_keeps_the_connection(code: int) -> None:
    with accepted(b"", "gate/command") as (recorded, peer, stream):
        assert packet(stream)[0] & 0xF0 == SUBSCRIBE
        assert isinstance(recorded.link.deliver("gate/event", b"1"), Delivery)
        _, body = packet(stream)
        at = 2 + int.from_bytes(body[:2], "big")
        peer.sendall(bytes([0x40, 4, *body[at : at + 2], code, 0]) + bytes([PUBLISH, 4, 0, 1]) + b"c" + bytes([0]))
        wait_for(lambda: recorded.received, "what comes after the refusal")
        assert [state.connected for state in recorded.states] == [True]


def test_a_status_that_is_too_large_is_not_sent(caplog: pytest.LogCaptureFixture) -> None:
    with accepted(bytes([MAXIMUM_PACKET_SIZE, 0, 0, 0, 20]), "gate", online=False) as (_, _peer, stream):
        assert packet(stream)[0] & 0xF0 == SUBSCRIBE, "it comes first"
    assert any("bytes on gate/status were not sent" in message for message in caplog.messages)


def test_a_limit_that_ends_the_connection_is_learned() -> None:
    """The broker does not announce it, so a message in the outbox would end every connection."""
    with socket.create_server((HOST, 0)) as server, linked(server.getsockname()[1]) as recorded:
        link = recorded.link
        with reconnected(server, recorded) as (peer, stream):
            refuse_large(peer, stream, recorded)
            assert "gate/event" in link.state.detail
        for _ in range(2):
            with reconnected(server, recorded) as (_, stream):
                assert link.deliver("gate/event", bytes(LARGE)) is Handover.TOO_LARGE
                largest = link.max_payload(Message("gate/event", b"", "image/jpeg"))
                assert largest is not None
                assert LARGE - 100 < largest < LARGE
                assert isinstance(link.deliver("gate/event", bytes(largest)), Delivery)
                assert len(packet(stream)[1]) > largest


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", maximum_packet_size(100_000)),
        (maximum_packet_size(50_000), maximum_packet_size(100_000)),
        (maximum_packet_size(50_000), b""),
    ],
    ids=["announced", "raised", "lifted"],
)
def test_a_refused_size_is_forgotten_when_the_broker_announces_another_limit(before: bytes, after: bytes) -> None:
    with socket.create_server((HOST, 0)) as server, linked(server.getsockname()[1]) as recorded:
        with reconnected(server, recorded, before) as (peer, stream):
            refuse_large(peer, stream, recorded)
        with reconnected(server, recorded, before):
            assert recorded.link.deliver("gate/event", bytes(LARGE)) is Handover.TOO_LARGE
        with reconnected(server, recorded, after):
            assert isinstance(recorded.link.deliver("gate/event", bytes(LARGE)), Delivery)


def test_a_refused_size_is_tried_again_after_a_stable_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server((HOST, 0)) as server, linked(server.getsockname()[1]) as recorded:
        with reconnected(server, recorded) as (peer, stream):
            refuse_large(peer, stream, recorded)
        monkeypatch.setattr("daemon.mqtt.connection._STABLE_AFTER", 0.0)
        with reconnected(server, recorded):
            assert recorded.link.deliver("gate/event", bytes(LARGE)) is Handover.TOO_LARGE
        with reconnected(server, recorded):
            assert isinstance(recorded.link.deliver("gate/event", bytes(LARGE)), Delivery)


def test_limits_of_an_earlier_connection_do_not_hold_for_mqtt_3() -> None:
    """A CONNACK of MQTT 3.1.1 announces none."""
    with socket.create_server((HOST, 0)) as server, linked(server.getsockname()[1]) as recorded:
        with reconnected(server, recorded, maximum_packet_size(100)):
            assert recorded.link.deliver("gate/event", bytes(LARGE)) is Handover.TOO_LARGE
        with server.accept()[0] as peer, peer.makefile("rb") as stream:
            assert packet(stream)[0] == CONNECT
            peer.sendall(bytes([0x20, 3, 0, UNSUPPORTED_PROTOCOL_VERSION, 0]))
        with reconnected(server, recorded):
            assert recorded.link.state.detail.endswith("MQTT 3.1.1")
            assert isinstance(recorded.link.deliver("gate/event", bytes(LARGE)), Delivery)


def test_a_last_will_is_retained_again_once_the_broker_allows_it() -> None:
    retained = []
    with socket.create_server((HOST, 0)) as server, linked(server.getsockname()[1]) as recorded:
        with server.accept()[0] as peer, peer.makefile("rb") as stream:
            retained.append(_will_is_retained(packet(stream)[1]))
            peer.sendall(bytes([0x20, 3, 0, RETAIN_NOT_SUPPORTED, 0]))
        for _ in range(2):
            with server.accept()[0] as peer, peer.makefile("rb") as stream:
                retained.append(_will_is_retained(accept(peer, stream, bytes([NO_RETAIN, 0]))))
                recorded.wait_connected()
            wait_for(lambda: not recorded.link.state.connected, "the end of the connection")
    assert retained == [True, False, True]


def _will_is_retained(connect: bytes) -> bool:
    return bool(connect[7] & 0x20)


def test_an_assigned_client_identifier_is_named(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, linked(broker.port, client_id="") as recorded:
        detail = recorded.wait_connected()
        (assigned,) = re.findall(r" as (auto-[0-9A-F-]+) \(", broker.output())
        assert detail.endswith(f" with MQTT 5 as client {assigned}")


def test_client_id_is_for_brokers_that_accept_certain_ones_only(tmp_path: Path) -> None:
    with Mosquitto(tmp_path, more=["clientid_prefixes gate-"]) as broker:
        with linked(broker.port) as recorded:
            refused = recorded.wait_refused()
            assert "client ospreyd-gate (mqtt.client_id)" in refused
        with linked(broker.port, client_id="gate-1") as recorded:
            recorded.wait_connected()

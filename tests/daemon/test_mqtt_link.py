"""The link to real brokers: protocol versions, refusals, absent, silent and hanging brokers."""

from __future__ import annotations

import errno
import logging
import os
import resource
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from daemon.mqtt import failure_messages
from daemon.mqtt.event_loop import EventLoop
from daemon.mqtt.link import LinkState
from daemon.mqtt.outgoing import Handover
from daemon.mqtt.paho_client import PahoClient
from tests.conftest import wait_for
from tests.daemon.linking import linked
from tests.servers.amqtt import Amqtt
from tests.servers.mosquitto import HOST, Mosquitto, free_port
from tests.servers.subscriber import Subscriber

SECRET = "s3cret-w0rd"


def test_mqtt_5_is_preferred(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, Subscriber(HOST, broker.port) as subscriber, linked(broker.port) as recorded:
        assert recorded.wait_connected() == f"connected to the broker at 127.0.0.1:{broker.port} with MQTT 5"
        assert recorded.link.publish("gate/stats", b"{}") is Handover.TAKEN
        assert recorded.link.publish("gate/info", b"{}", retain=True) is Handover.TAKEN
        assert subscriber.wait_for("gate/status").payload == b"online"
        stats, info = subscriber.wait_for("gate/stats"), subscriber.wait_for("gate/info")
        assert (stats.content_type, stats.qos) == ("application/json", 0)
        assert (info.content_type, info.qos) == ("application/json", 1)


def test_a_socket_that_fails_to_close_is_no_failure() -> None:
    class Broken(socket.socket):
        def close(self) -> None:
            super().close()
            raise OSError(errno.EIO, "Input/output error")

    client = PahoClient("gate", "tcp", mqtt5=True, on_too_large=lambda _topic, _size: None)
    client.socket = Broken  # type: ignore[method-assign]
    loop = EventLoop(client)
    loop.close()
    loop.wake()  # the rest is closed too


def test_falls_back_to_mqtt_3_1_1(tmp_path: Path) -> None:
    with (
        Amqtt(tmp_path) as broker,
        Subscriber(HOST, broker.port, mqtt5=False) as subscriber,
        linked(broker.port) as recorded,
    ):
        assert recorded.wait_connected() == f"connected to the broker at 127.0.0.1:{broker.port} with MQTT 3.1.1"
        assert recorded.link.publish("gate/stats", b"{}") is Handover.TAKEN
        assert subscriber.wait_for("gate/status").payload == b"online"
        assert subscriber.wait_for("gate/stats").payload == b"{}"
        assert recorded.link.stop(5)
        subscriber.wait_for("gate/status", b"offline")
        assert all(state.detail.startswith(("connected", "disconnected")) for state in recorded.states)


ACCEPTED = bytes([0x20, 2, 0, 0])
"""CONNACK in MQTT 3.1.1"""
NOT_AUTHORIZED = bytes([0x20, 2, 0, 5])
WRONG_VERSION = bytes([0x20, 2, 0, 1])
WRONG_VERSION_5 = bytes([0x20, 3, 0, 0x84, 0])
"""the same in MQTT 5"""


def versions_asked(server: socket.socket, answers: list[bytes]) -> list[int]:
    """Answers one CONNECT after the other, closes each connection, and returns the protocol levels asked for."""
    server.settimeout(20)
    levels = []
    for answer in answers:
        peer, _ = server.accept()
        with peer:
            levels.append(peer.recv(1024)[8])  # it stands behind the name "MQTT"
            peer.sendall(answer)
    return levels


@pytest.mark.parametrize(
    ("answers", "levels"),
    [
        ([WRONG_VERSION, ACCEPTED], [5, 4]),
        ([WRONG_VERSION_5, ACCEPTED], [5, 4]),
        ([b"", ACCEPTED], [5, 4]),
        ([b"", b"", ACCEPTED], [5, 4, 5]),
        ([WRONG_VERSION, NOT_AUTHORIZED, NOT_AUTHORIZED], [5, 4, 4]),
        ([WRONG_VERSION, ACCEPTED, ACCEPTED], [5, 4, 5]),
    ],
    ids=["refused", "refused in MQTT 5", "hung up", "hung up on both", "login refused", "lost and upgraded"],
)
def test_version_of_the_next_attempt(answers: list[bytes], levels: list[int]) -> None:
    with socket.create_server((HOST, 0)) as server, linked(server.getsockname()[1]):
        assert versions_asked(server, answers) == levels


def test_a_refused_login_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with (
        Mosquitto(tmp_path, users={"osprey": "right"}) as broker,
        linked(broker.port, username="osprey", password=SECRET) as recorded,
    ):
        wait_for(lambda: len(recorded.states) >= 3, "three attempts")
        sentence = failure_messages.refused(HOST, broker.port, 135, "Not authorized", "ospreyd-gate")
        assert recorded.link.state == LinkState(connected=False, detail=sentence)
        assert {state.connected for state in recorded.states} == {False}
        assert recorded.link.publish("gate/stats", b"{}") is Handover.NO_ROOM
        assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == [sentence]
        assert SECRET not in caplog.text


def test_an_accepted_login(tmp_path: Path) -> None:
    with (
        Mosquitto(tmp_path, users={"osprey": SECRET}) as broker,
        linked(broker.port, username="osprey", password=SECRET) as recorded,
    ):
        recorded.wait_connected()


def test_a_broker_that_is_down_at_the_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Mosquitto(tmp_path) as broker:
        broker.stop()
        started = time.monotonic()
        with linked(broker.port) as recorded:
            assert time.monotonic() - started < 1.0
            refused = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
            assert recorded.wait_refused() == failure_messages.unreachable(HOST, broker.port, refused)
            wait_for(lambda: len(recorded.states) >= 2, "a second attempt")
            broker.start()
            recorded.wait_connected()
            assert len([r for r in caplog.records if "cannot be reached" in r.getMessage()]) == 1


def test_an_unknown_host() -> None:
    with linked(1883, host="no-such-host.invalid") as recorded:
        assert "check mqtt.host" in recorded.wait_refused()


def test_a_second_client_with_the_same_identifier(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Mosquitto 2.0 closes the connection that is taken over without a word."""
    with Mosquitto(tmp_path) as broker, linked(broker.port) as first:
        first.wait_connected()
        with linked(broker.port) as second:
            sentence = failure_messages.broken(HOST, broker.port, 0, soon=True)
            wait_for(lambda: len([s for s in first.states if s.detail == sentence]) >= 2, "two take-overs")
            second.wait_connected()
            # each of them, because a connection was told of in between
            wait_for(lambda: len([r for r in caplog.records if r.getMessage() == sentence]) >= 2, "both in the log")


def test_session_taken_over_disconnect() -> None:
    with socket.create_server((HOST, 0)) as server, linked(port := server.getsockname()[1]) as recorded:
        peer, _ = server.accept()
        with peer:
            peer.recv(1024)
            peer.sendall(bytes([0x20, 3, 0, 0, 0]) + bytes([0xE0, 2, 142, 0]))
            wait_for(lambda: len(recorded.states) >= 2, "the end of the connection")
        assert recorded.states[0].connected
        taken_over = failure_messages.SESSION_TAKEN_OVER
        assert recorded.states[1].detail == failure_messages.lost(HOST, port, taken_over, "", "ospreyd-gate")


def test_stop_before_the_connack() -> None:
    with socket.create_server((HOST, 0)) as server, linked(server.getsockname()[1]) as recorded:
        peer, _ = server.accept()
        with peer:
            assert peer.recv(1024)
            started = time.monotonic()
            assert recorded.link.stop(3)
            assert time.monotonic() - started < 1.0


def test_a_missing_connack_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.mqtt.connection._CONNACK_MQTT5_WITHIN", 0.1)
    monkeypatch.setattr("daemon.mqtt.connection._CONNACK_WITHIN", 0.2)
    with socket.create_server((HOST, 0)) as server, linked(port := server.getsockname()[1]) as recorded:
        assert recorded.wait_refused() == failure_messages.silent(HOST, port, 0.2)


def test_stop_while_the_broker_hangs_leaves_the_last_will(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, linked(broker.port) as recorded:
        recorded.wait_connected()
        broker.signal(signal.SIGSTOP)
        started = time.monotonic()
        assert not recorded.link.stop(1)
        assert 0.9 < time.monotonic() - started < 2.0
        broker.signal(signal.SIGCONT)
        with Subscriber(HOST, broker.port) as subscriber:
            subscriber.wait_for("gate/status", b"offline")


def test_stop_between_two_attempts() -> None:
    with linked(free_port()) as recorded:
        recorded.wait_refused()
        started = time.monotonic()
        assert recorded.link.stop(3)
        assert time.monotonic() - started < 1.0
        assert recorded.states[-1].detail.startswith("stopped without a connection to")


def test_queues_to_the_broker_are_bounded(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, linked(broker.port) as recorded:
        recorded.wait_connected()
        broker.signal(signal.SIGSTOP)
        payload = b"x" * 100_000
        taken = 0
        while recorded.link.publish("gate/stats", payload) is Handover.TAKEN:
            taken += 1
            assert taken < 2000
        assert taken >= 64
        while recorded.link.publish("gate/info", b"{}", retain=True) is Handover.TAKEN:
            taken += 1
            assert taken < 4000
        broker.signal(signal.SIGCONT)
        wait_for(lambda: recorded.link.publish("gate/stats", payload) is Handover.TAKEN, "room")
        wait_for(lambda: recorded.link.publish("gate/info", b"{}", retain=True) is Handover.TAKEN, "room")


@contextmanager
def descriptors_above_1023() -> Iterator[None]:
    """The next file descriptor that is opened has a number that select() does not take."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    taken = [os.open(os.devnull, os.O_RDONLY)]
    try:
        while taken[-1] < 1100:
            taken.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        for one in taken:
            os.close(one)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("transport", ["tcp", "websockets"])
def test_file_descriptors_above_1023(tmp_path: Path, transport: str) -> None:
    more = ["protocol websockets", f"listener {free_port()} {HOST}"] if transport == "websockets" else []
    with (
        Mosquitto(tmp_path, more=more) as broker,
        descriptors_above_1023(),
        linked(broker.port, "gate/echo", transport=transport) as recorded,
    ):
        recorded.wait_connected()
        wait_for(lambda: recorded.link.publish("gate/echo", b"1") is Handover.TAKEN, "room")
        wait_for(lambda: recorded.received, "the message back")
        assert recorded.received[0].payload == b"1"


@pytest.mark.parametrize("host", ["a" * 64, "broker..local"])
def test_an_invalid_host_name_is_named(host: str) -> None:
    with linked(1883, host=host) as recorded:
        refused = recorded.wait_refused()
        assert host in refused
        assert "mqtt.host" in refused

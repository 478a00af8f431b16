"""Messages from real brokers, also after a restart, and messages with properties of their own."""

from __future__ import annotations

import signal
import socket
import time
from pathlib import Path

import pytest

from daemon.config.mqtt import Mqtt
from daemon.control.inbox import Inbox
from daemon.mqtt.incoming import Received
from daemon.mqtt.link import LinkState
from daemon.mqtt.outgoing import Handover, Message
from tests.conftest import wait_for
from tests.daemon.linking import Recorded, linked, running
from tests.daemon.publishing import in_background
from tests.servers.amqtt import Amqtt
from tests.servers.mosquitto import HOST, Mosquitto
from tests.servers.subscriber import Subscriber


def test_subscriptions_survive_a_broker_restart(broker: Mosquitto, subscriber: Subscriber) -> None:
    with linked(broker.port, "gate/command/+") as recorded:
        recorded.wait_connected()
        for count in (1, 2):
            wait_for(lambda: broker.output().count("gate/command/+ (QoS 1)") > 0, "the subscription")
            subscriber.publish("gate/command/stats", b"1", response_topic="to/me", correlation=b"\0\xff")
            wait_for(lambda: len(recorded.received) == count, "the message")  # noqa: B023 - awaited in its turn
            broker.kill()
            wait_for(lambda: not recorded.link.state.connected, "the loss of the broker")
            before = time.monotonic()
            broker.start()
            recorded.wait_connected()
            subscriber.wait_for("gate/status", b"online", after=before)
    assert recorded.received == [Received("gate/command/stats", b"1", False, "to/me", b"\0\xff")] * 2


def test_a_filter_for_the_first_connection_is_not_asked_for_again(broker: Mosquitto) -> None:
    config = Mqtt(host=HOST, port=broker.port)
    with running(Recorded(config, "gate/command/+", once=("gate/+/status",))) as recorded:
        for is_first in (True, False, False):
            wait_for(lambda: "gate/command/+ (QoS 1)" in broker.output(), "the subscription")
            wait_for(lambda: "Received PUBLISH" in broker.output(), "what is sent after all subscriptions")
            assert ("gate/+/status (QoS 1)" in broker.output()) == is_first
            broker.kill()
            wait_for(lambda: not recorded.link.state.connected, "the loss of the broker")
            broker.start()


def test_subscriptions_with_mqtt_3_1_1(tmp_path: Path) -> None:
    with (
        Amqtt(tmp_path) as broker,
        Subscriber(HOST, broker.port, mqtt5=False) as subscriber,
        linked(broker.port, "gate/command/+") as recorded,
    ):
        recorded.wait_connected()
        subscriber.wait_for("gate/status", b"online")
        wait_for(lambda: "gate/command/+" in broker.output(), "the subscription")
        subscriber.publish("gate/command/stats", b"1")
        wait_for(lambda: recorded.received, "the message")
        assert recorded.received == [Received("gate/command/stats", b"1", False, None, None)]
        assert recorded.link.send(Message("gate/answer", b"{}", "application/json", b"1")) is Handover.TAKEN
        assert subscriber.wait_for("gate/answer").payload == b"{}"


def test_long_and_retained_messages_are_marked(broker: Mosquitto, subscriber: Subscriber) -> None:
    subscriber.publish("gate/command/kept", b"1", retain=True)
    with linked(broker.port, "gate/command/+") as recorded:
        recorded.wait_connected()
        wait_for(lambda: recorded.received, "the message that was kept")
        subscriber.publish("gate/command/long", b"x" * 60_000)
        subscriber.publish("gate/command/too-long", b"x" * 70_000)  # kept back by the broker
        subscriber.publish("gate/command/last", b"2")
        wait_for(lambda: len(recorded.received) == 3, "the other messages")
    kept, long, last = recorded.received
    assert (kept.topic, kept.retained) == ("gate/command/kept", True)
    assert (long.topic, long.payload) == ("gate/command/long", b"x" * 101)
    assert last.topic == "gate/command/last"


def test_sent_messages_carry_their_properties(broker: Mosquitto, subscriber: Subscriber) -> None:
    with linked(broker.port) as recorded:
        recorded.wait_connected()
        assert recorded.link.send(Message("gate/x", b"1", "image/jpeg", b"\0id")) is Handover.TAKEN
        came = subscriber.wait_for("gate/x")
        assert (came.payload, came.content_type, came.correlation, came.qos) == (b"1", "image/jpeg", b"\0id", 1)
        assert not came.retained
        broker.signal(signal.SIGSTOP)
        sent = 0
        while recorded.link.send(Message("gate/x", b"2", "image/jpeg")) is Handover.TAKEN:
            sent += 1
        assert sent == 16
        broker.signal(signal.SIGCONT)
        wait_for(lambda: recorded.link.send(Message("gate/x", b"3", "image/jpeg")) is Handover.TAKEN, "room")
        broker.kill()
        wait_for(lambda: not recorded.link.state.connected, "the loss of the broker")
        assert recorded.link.send(Message("gate/x", b"4", "image/jpeg")) is Handover.NO_ROOM


def test_a_full_inbox_drops_the_newest_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    inbox = Inbox(2)
    messages = [Received(str(number), b"", False, None, None) for number in range(5)]
    for message in messages:
        inbox.put(message)
    assert inbox.dropped == 3
    assert [r.args for r in caplog.records] == [(1,)], "once for the whole flood"
    assert [inbox.take(), inbox.take()] == messages[:2]
    waiting = in_background(inbox.take)
    inbox.close()
    waiting.join(20)
    assert not waiting.is_alive()
    inbox.put(messages[0])
    assert inbox.take() is None


def test_a_broker_that_ignores_mqtt_5_is_asked_once(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as server, linked(server.getsockname()[1]) as recorded:
        server.settimeout(20)
        levels = []
        for _ in range(4):
            peer, _ = server.accept()
            with peer:
                levels.append(peer.recv(1024)[8])
                if levels[-1] == 5:
                    peer.settimeout(20)
                    assert peer.recv(1024) == b"", "given up by the client, which got no answer"
                else:
                    peer.sendall(bytes([0x20, 2, 0, 0]))
        assert levels == [5, 4, 4, 4]
    assert LinkState(True, f"connected to the broker at 127.0.0.1:{server_port(recorded.states)} with MQTT 3.1.1") in (
        recorded.states
    )


def server_port(states: list[LinkState]) -> str:
    return states[0].detail.partition("127.0.0.1:")[2].split()[0]


@pytest.mark.parametrize(
    "garbage", [b"\x90\x7f\x00\x01\xff\xff" + b"\xee" * 200, b"\x40\x01\x00", b"\x30\x03\x00\xff\xff"]
)
def test_garbage_from_the_server_ends_the_attempt(garbage: bytes) -> None:
    with socket.create_server((HOST, 0)) as server, linked(server.getsockname()[1]) as recorded:
        server.settimeout(20)
        peer, _ = server.accept()
        with peer:
            peer.recv(1024)
            peer.sendall(bytes([0x20, 3, 0, 0, 0]) + garbage)
            again, _ = server.accept()
            again.close()
    assert not recorded.failures

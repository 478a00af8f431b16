"""MQTT over WebSockets to real brokers, and servers without WebSockets."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.mqtt import failure_messages
from daemon.mqtt.outgoing import Handover
from tests.daemon.linking import linked
from tests.servers import certificates
from tests.servers.amqtt import Amqtt
from tests.servers.mosquitto import HOST, Mosquitto, free_port
from tests.servers.subscriber import Subscriber

WEBSOCKETS = ("protocol websockets",)


@pytest.mark.parametrize("secured", [False, True])
def test_websockets(tmp_path: Path, secured: bool) -> None:
    plain = free_port()
    more = (*WEBSOCKETS, f"listener {plain} {HOST}")
    folder = certificates.make(tmp_path / "certificates") if secured else None
    mqtt = {"tls": {"ca": folder / "ca.crt"}} if folder else {}
    with (
        Mosquitto(tmp_path, tls=folder, more=more) as broker,
        Subscriber(HOST, plain) as subscriber,
        linked(broker.port, "gate/+", transport="websockets", **mqtt) as recorded,
    ):
        assert recorded.wait_connected() == f"connected to the broker at 127.0.0.1:{broker.port} with MQTT 5"
        large = b"x" * 70_000  # more than one length of WebSocket frames
        assert recorded.link.publish("gate/stats", large) is Handover.TAKEN
        assert subscriber.wait_for("gate/stats").payload == large
        assert recorded.link.stop(5)
        subscriber.wait_for("gate/status", b"offline")


def test_websockets_with_tls_of_another_broker(tmp_path: Path) -> None:
    folder = certificates.make(tmp_path / "certificates")
    with (
        Amqtt(tmp_path, "ws", folder) as broker,
        linked(broker.port, transport="websockets", tls={"ca": folder / "ca.crt"}) as recorded,
    ):
        recorded.wait_connected()


def test_websockets_of_a_broker_that_another_authority_signed(tmp_path: Path) -> None:
    folder, other = certificates.make(tmp_path / "certificates"), certificates.make(tmp_path / "other")
    with (
        Mosquitto(tmp_path, tls=folder, more=(*WEBSOCKETS, f"listener {free_port()} {HOST}")) as broker,
        linked(broker.port, transport="websockets", tls={"ca": other / "ca.crt"}) as recorded,
    ):
        assert "certificate" in recorded.wait_refused()


def test_websockets_where_the_broker_knows_mqtt_3_1_1_only(tmp_path: Path) -> None:
    with Amqtt(tmp_path, "ws") as broker, linked(broker.port, transport="websockets") as recorded:
        assert recorded.wait_connected().endswith(" with MQTT 3.1.1")


# paho leaves the socket of a failed upgrade to Python, which closes it where its last use ends
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_port_without_websockets(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, linked(broker.port, transport="websockets") as recorded:
        assert recorded.wait_refused() == failure_messages.no_websocket(HOST, broker.port)

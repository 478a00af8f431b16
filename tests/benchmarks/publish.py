"""Events through the outbox beside paho alone at QoS 1: `python -m tests.benchmarks.publish`."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from daemon.config.outbox import Outbox as Settings
from daemon.publish import payloads
from daemon.publish.outbox import outbox_path, read_status
from daemon.records import Event, EventType
from tests.conftest import wait_for
from tests.daemon.publishing import config, publisher
from tests.servers.mosquitto import HOST, Mosquitto

COUNT = 5000


def main() -> None:
    """Prints messages a second of both, and their ratio."""
    events = [Event("front", EventType.APPEARED, time.time(), "person", number) for number in range(COUNT)]
    with tempfile.TemporaryDirectory() as folder, Mosquitto(Path(folder)) as broker:
        os.environ["STATE_DIRECTORY"] = folder
        alone = _paho(broker.port, [payloads.event("gate", event) for event in events])
        through = _outbox(broker.port, events)
    print(f"paho alone {alone:.0f}/s, through the outbox {through:.0f}/s, ratio {through / alone:.2f}")


def _paho(port: int, messages: list[bytes]) -> float:
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.connect(HOST, port)
    client.loop_start()
    wait_for(client.is_connected, "the connection")
    began = time.perf_counter()
    for message in [client.publish("alone", payload, 1) for payload in messages]:
        message.wait_for_publish(60)
    took = time.perf_counter() - began
    client.disconnect()
    client.loop_stop()
    return len(messages) / took


def _outbox(port: int, events: list[Event]) -> float:
    with publisher(config(port)) as running:
        wait_for(lambda: running.link.connected, "the connection")
        path = outbox_path(Settings(), "gate")
        began = time.perf_counter()
        for event in events[:-1]:
            running.event(event)
        wait_for(lambda: read_status(path).waiting >= 1, "the first event on disk")
        running.event(events[-1])
        wait_for(lambda: read_status(path).waiting == 0, "an empty outbox", 60)
        return len(events) / (time.perf_counter() - began)


if __name__ == "__main__":
    main()

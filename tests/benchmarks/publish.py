"""Publishing beside paho alone, with the same payloads and broker: `python -m tests.benchmarks.publish`.

Frame messages at QoS 0 and events through the outbox, from the first message until the broker confirms what came after
the last; then what publishing adds to the latency of 1,000 frame messages a second, up to a subscriber.
"""

from __future__ import annotations

import os
import socket
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from paho.mqtt.client import Client, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from daemon.config.outbox import Outbox as Settings
from daemon.publish import payloads
from daemon.publish.outbox import outbox_path, read_status
from daemon.publish.publisher import Publisher
from daemon.records import Event, EventType, FrameResult
from tests.conftest import wait_for
from tests.daemon.publishing import config, publisher, result
from tests.servers.mosquitto import HOST, Mosquitto
from tests.servers.subscriber import Subscriber

FRAMES, EVENTS = 20_000, 5000
BATCH = 8  # results that come at once, as from the models
AT_ONCE = 100  # messages that paho has waiting, as many as its own example programs would
RATE, SECONDS = 1000, 10
TOPIC = "ospreyd/gate/front/detections"


def main() -> None:
    """Prints messages a second of both with their ratio and microseconds a message, and latencies."""
    frames = [result(number, live=False, count=5) for number in range(1, FRAMES + 1)]
    events = [Event("front", EventType.APPEARED, time.time(), "person", number) for number in range(EVENTS)]
    with tempfile.TemporaryDirectory() as folder, Mosquitto(Path(folder), more=["set_tcp_nodelay true"]) as broker:
        os.environ["STATE_DIRECTORY"] = folder
        ready = [payloads.detections("gate", frame) for frame in frames]
        _tell("frames, QoS 0", _paho(broker.port, 0, ready), _frames(broker.port, frames))
        alone = _paho(broker.port, 1, [payloads.event("gate", event) for event in events])
        _tell("events, QoS 1", alone, _events(broker.port, events))
        with _client(broker.port) as client:
            by_paho = _latency(broker.port, lambda frame: client.publish(TOPIC, payloads.detections("gate", frame)))
        with publisher(config(broker.port)) as running:
            wait_for(lambda: running.link.connected, "the connection")
            by_us = _latency(broker.port, lambda frame: running.results([frame]))
    for name, latency in (("paho alone", by_paho), ("published", by_us)):
        p50, p99 = np.percentile(latency, [50, 99])
        print(f"latency to a subscriber at {RATE}/s, {name}: p50 {p50:.2f} ms, p99 {p99:.2f} ms")


def _tell(what: str, alone: float, ours: float) -> None:
    took = f"{1e6 / alone:.0f} and {1e6 / ours:.0f} us a message"
    print(f"{what}: paho alone {alone:.0f}/s, published {ours:.0f}/s, ratio {ours / alone:.2f}, {took}", flush=True)


class _client:  # noqa: N801  used as a function
    """paho by itself, connected, with its own thread."""

    def __init__(self, port: int) -> None:
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.connect(HOST, port)
        self._client.loop_start()
        wait_for(self._client.is_connected, "the connection")
        opened = self._client.socket()
        assert isinstance(opened, socket.socket)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as the daemon's; paho leaves it to its user

    def __enter__(self) -> Client:
        return self._client

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def _paho(port: int, qos: int, messages: Sequence[bytes]) -> float:
    """Messages a second."""
    with _client(port) as client:
        began = time.perf_counter()
        sent: list[MQTTMessageInfo] = []
        for payload in messages:
            sent.append(client.publish(TOPIC, payload, qos))
            if len(sent) >= AT_ONCE:
                sent[-AT_ONCE].wait_for_publish(60)
        for message in sent[-AT_ONCE:]:
            message.wait_for_publish(60)
        client.publish("end", b"", 1).wait_for_publish(60)
        return len(messages) / (time.perf_counter() - began)


def _frames(port: int, frames: Sequence[FrameResult]) -> float:
    """Messages a second."""
    with publisher(config(port)) as running:
        wait_for(lambda: running.link.connected, "the connection")
        began = time.perf_counter()
        for start in range(0, len(frames), BATCH):
            running.results(frames[start : start + BATCH])
        assert running.stop(60)  # which the broker confirms, after all else
        return len(frames) / (time.perf_counter() - began)


def _events(port: int, events: Sequence[Event]) -> float:
    """Events a second."""
    with publisher(config(port)) as running:
        wait_for(lambda: running.link.connected, "the connection")
        path = outbox_path(Settings(), "gate")
        began = time.perf_counter()
        _put(running, events[:-1])
        wait_for(lambda: read_status(path).waiting >= 1, "the first event on disk")
        _put(running, events[-1:])
        wait_for(lambda: read_status(path).waiting == 0, "an empty outbox", 60)
        return len(events) / (time.perf_counter() - began)


def _put(running: Publisher, events: Sequence[Event]) -> None:
    for event in events:
        running.event(event)


def _latency(port: int, send: Callable[[FrameResult], object]) -> list[float]:
    """Of each message, from its result to the subscriber, milliseconds."""
    with closing(Subscriber(HOST, port, TOPIC)) as subscriber:
        sent: list[float] = []
        began = time.monotonic()
        for number in range(1, RATE * SECONDS + 1):
            time.sleep(max(0.0, began + number / RATE - time.monotonic()))
            frame = result(number, count=5)
            sent.append(time.monotonic())
            send(frame)
        subscriber.wait(lambda messages: len(messages) == len(sent), "all messages", 30)
        came = [message.at for message in subscriber.messages()]
    return [(last - first) * 1000 for first, last in zip(sent, came, strict=True)]


if __name__ == "__main__":
    main()

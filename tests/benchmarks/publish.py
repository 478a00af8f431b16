"""Publishing beside paho alone, with the same payloads and broker: `python -m tests.benchmarks.publish`.

Frame messages at QoS 0 and events through the outbox, from the first message until the broker confirms what came after
the last; then what publishing adds to the latency of 1,000 frame messages a second, up to a subscriber.
"""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from paho.mqtt.client import Client, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from daemon.config.outbox import Outbox as Settings
from daemon.outbox.opened import read_status
from daemon.outbox.store import outbox_path
from daemon.publish import event_payloads, payloads
from daemon.publish.publisher import Publisher
from daemon.records import Event, EventType, FrameResult
from daemon.system.credits import Credits
from tests.conftest import wait_for
from tests.daemon.publishing import config, publisher, result
from tests.servers.mosquitto import HOST, Mosquitto
from tests.servers.subscriber import Subscriber

FRAMES, EVENTS = 20_000, 5000
BATCH = 8  # results that come at once, as from the models
AT_ONCE = 100  # messages at QoS 1 that paho has waiting; at QoS 0 all of them, which is what it does best
ROUNDS = 5
RATE, SECONDS = 1000, 10
TOPIC = "ospreyd/gate/front/detections"


@dataclass(frozen=True)
class Speed:
    """Of one run."""

    rate: float
    """messages a second"""
    cost: float
    """processor time of all threads here, microseconds a message"""


def main() -> None:
    """Prints both with their ratio, round by round: messages a second and processor time, and latencies."""
    frames = [result(number, live=False, count=5) for number in range(1, FRAMES + 1)]
    events = [Event("front", EventType.APPEARED, time.time(), "person", number) for number in range(EVENTS)]
    with tempfile.TemporaryDirectory() as folder, Mosquitto(Path(folder), more=["set_tcp_nodelay true"]) as broker:
        os.environ["STATE_DIRECTORY"] = folder
        ready = [payloads.detections("gate", frame) for frame in frames]
        _compare("frames, QoS 0", lambda: _paho(broker.port, 0, ready), lambda: _frames(broker.port, frames))
        told = [event_payloads.event("gate", event) for event in events]
        _compare("events, QoS 1", lambda: _paho(broker.port, 1, told), lambda: _events(broker.port, events))
        for _ in range(ROUNDS):
            _tell_latency("paho alone", _latency_of_paho(broker.port))
            _tell_latency("published", _latency_of_ours(broker.port))


def _compare(what: str, alone: Callable[[], Speed], published: Callable[[], Speed]) -> None:
    ratios = []
    for _ in range(ROUNDS):
        paho, ours = alone(), published()
        ratios.append(ours.rate / paho.rate)
        took = f"{paho.cost:.0f} and {ours.cost:.0f} us a message"
        rates = f"paho alone {paho.rate:.0f}/s, published {ours.rate:.0f}/s"
        print(f"{what}: {rates}, ratio {ratios[-1]:.2f}, {took}", flush=True)
    print(f"{what}: median ratio {median(ratios):.2f}")


def _tell_latency(what: str, latency: list[float]) -> None:
    p50, p99 = np.percentile(latency, [50, 99])
    print(f"latency to a subscriber at {RATE}/s, {what}: p50 {p50:.2f} ms, p99 {p99:.2f} ms", flush=True)


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


def _measured(messages: int, work: Callable[[], object]) -> Speed:
    began, spent = time.perf_counter(), time.process_time()
    work()
    return Speed(messages / (time.perf_counter() - began), (time.process_time() - spent) / messages * 1e6)


def _paho(port: int, qos: int, messages: Sequence[bytes]) -> Speed:
    def publish() -> None:
        sent: list[MQTTMessageInfo] = []
        for payload in messages:
            sent.append(client.publish(TOPIC, payload, qos))
            if qos and len(sent) >= AT_ONCE:
                sent[-AT_ONCE].wait_for_publish(60)
        for message in sent[-AT_ONCE:]:
            message.wait_for_publish(60)
        client.publish("end", b"", 1).wait_for_publish(60)

    with _client(port) as client:
        return _measured(len(messages), publish)


def _frames(port: int, frames: Sequence[FrameResult]) -> Speed:
    def publish() -> None:
        sent = 0
        while sent < len(frames):
            if (free := credit.room()) <= 0:  # the batcher takes no frame then either
                room.wait(1.0)
                room.clear()
                continue
            batch = frames[sent : sent + min(BATCH, free)]
            for _ in batch:
                credit.take()
            running.results(batch)
            sent += len(batch)
        assert running.stop(60)  # which the broker confirms, after all else

    credit, room = Credits(), threading.Event()
    credit.on_room(room.set)
    with publisher(config(port), None, credit) as running:
        wait_for(lambda: running.link.connected, "the connection")
        return _measured(len(frames), publish)


def _events(port: int, events: Sequence[Event]) -> Speed:
    def publish() -> None:
        _put(running, events[:-1])
        wait_for(lambda: read_status(path).waiting >= 1, "the first event on disk")
        _put(running, events[-1:])
        wait_for(lambda: read_status(path).waiting == 0, "an empty outbox", 60)

    with publisher(config(port)) as running:
        wait_for(lambda: running.link.connected, "the connection")
        path = outbox_path(Settings(), "gate")
        return _measured(len(events), publish)


def _put(running: Publisher, events: Sequence[Event]) -> None:
    for event in events:
        running.event(event)


def _latency_of_paho(port: int) -> list[float]:
    with _client(port) as client:
        return _latency(port, lambda frame: client.publish(TOPIC, payloads.detections("gate", frame)))


def _latency_of_ours(port: int) -> list[float]:
    with publisher(config(port)) as running:
        wait_for(lambda: running.link.connected, "the connection")
        return _latency(port, lambda frame: running.results([frame]))


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

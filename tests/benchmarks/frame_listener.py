"""A subscriber in a process of its own: counts the frame messages of cameras and how old they are when they come.

`python -m tests.benchmarks.frame_listener PORT TOPIC …` says `ready`, counts from a line `begin` on its input to a line
`end`, prints what it has counted as one line of JSON and waits for the next.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from subprocess import PIPE, Popen
from typing import Any

import numpy as np
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.servers.mosquitto import HOST

_CAPTURED = b'"captured_at":"'
_TIME = len("2026-11-22T23:33:22.902554")
_TOTAL = b'"total":'
_EVERY = 16  # of so many messages one is read in full
_LOST = "$SYS/broker/publish/messages/dropped"


class Listener:
    """Counts on paho's thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.lost_by_broker = 0
        """messages, since the broker began"""
        self._begin()

    def begin(self) -> None:
        """Forgets all."""
        with self._lock:
            self._begin()

    def _begin(self) -> None:
        self._frames: Counter[str] = Counter()
        self._latest: dict[str, float] = {}
        self._longest: dict[str, float] = {}
        self._ages = array("d")
        self._totals = array("d")
        self._stages: dict[str, list[float]] = {}
        self._objects: list[int] = []
        self._bytes = 0

    def take(self, _client: Client, _user: object, message: MQTTMessage) -> None:
        """One message."""
        now, payload = time.time(), message.payload
        if message.topic == _LOST:
            self.lost_by_broker = int(payload)
            return
        at = payload.index(_CAPTURED) + len(_CAPTURED)
        captured = datetime.fromisoformat(payload[at : at + _TIME].decode()).replace(tzinfo=timezone.utc).timestamp()
        total = payload.rindex(_TOTAL) + len(_TOTAL)
        with self._lock:
            topic = message.topic
            self._frames[topic] += 1
            self._longest[topic] = max(self._longest.get(topic, 0.0), now - self._latest.get(topic, now))
            self._latest[topic] = now
            self._ages.append((now - captured) * 1e3)
            self._totals.append(float(payload[total : payload.index(b"}", total)]))
            self._bytes += len(payload)
            if len(self._ages) % _EVERY == 0:
                whole = json.loads(payload)
                self._objects.append(len(whole["objects"]))
                for stage, milliseconds in whole["latency_ms"].items():
                    self._stages.setdefault(stage, []).append(milliseconds)

    def counted(self) -> dict[str, Any]:
        """Since `begin`; times in milliseconds, raw, so that several listeners' can be put together."""
        with self._lock:
            now = time.time()
            for topic, latest in self._latest.items():
                self._longest[topic] = max(self._longest[topic], now - latest)
            return {
                "frames": dict(self._frames),
                "longest_gap_s": self._longest,
                "received": np.histogram(self._ages, _EDGES)[0].tolist(),
                "published": np.histogram(self._totals, _EDGES)[0].tolist(),
                "stages": self._stages,
                "objects": self._objects,
                "bytes": self._bytes,
                "lost_by_broker": self.lost_by_broker,
            }


# milliseconds; finer than a hundredth of each value
_EDGES = np.concatenate([[-np.inf, 0.0], np.geomspace(0.1, 60_000, 1400), [np.inf]])


def percentile(histogram: Sequence[int], percent: float) -> float | None:
    """Milliseconds, from the sum of listeners' histograms; None without a message."""
    total = np.cumsum(histogram)
    if not total[-1]:
        return None
    return round(float(_EDGES[min(int(np.searchsorted(total, total[-1] * percent / 100)) + 1, len(_EDGES) - 2)]), 1)


class Listeners:
    """Several of these processes, which share the topics between them."""

    def __init__(self, processes: Sequence[Popen[str]]) -> None:
        self._processes = processes
        for process in processes:
            _line(process)

    @property
    def pids(self) -> list[int]:
        """Of the processes."""
        return [process.pid for process in self._processes]

    def begin(self) -> None:
        """Counts from now on."""
        for process in self._processes:
            _tell(process, "begin")

    def end(self) -> dict[str, Any]:
        """All that came since `begin`: see Listener.counted, with percentiles in place of histograms."""
        for process in self._processes:
            _tell(process, "end")
        each = [json.loads(_line(process)) for process in self._processes]
        received, published = (np.sum([one[name] for one in each], axis=0) for name in ("received", "published"))
        stages = {name: np.concatenate([one["stages"].get(name, []) for one in each]) for name in each[0]["stages"]}
        objects = np.concatenate([one["objects"] for one in each])
        return {
            "frames": {topic: count for one in each for topic, count in one["frames"].items()},
            "longest_gap_s": {topic: gap for one in each for topic, gap in one["longest_gap_s"].items()},
            "capture_to_received_ms": {f"p{p}": percentile(received, p) for p in (50, 99)},
            "capture_to_publish_ms": {f"p{p}": percentile(published, p) for p in (50, 99)},
            "stages_ms": {
                name: {f"p{p}": round(float(np.percentile(values, p)), 2) for p in (50, 99)}
                for name, values in stages.items()
                if len(values)
            },
            "objects_a_frame": round(float(objects.mean()), 1) if len(objects) else None,
            "bytes": sum(one["bytes"] for one in each),
            "lost_by_broker": max(one["lost_by_broker"] for one in each),
        }


@contextmanager
def listening(port: int, topics: Sequence[str], processes: int) -> Iterator[Listeners]:
    """Subscribed to the topics, each in one of the processes."""
    command = [sys.executable, "-m", "tests.benchmarks.frame_listener", str(port)]
    started = [
        Popen([*command, *topics[i::processes]], stdin=PIPE, stdout=PIPE, text=True)
        for i in range(min(processes, len(topics)))
    ]
    try:
        yield Listeners(started)
    finally:
        for process in started:
            process.kill()
            process.communicate()


def _tell(process: Popen[str], word: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{word}\n")
    process.stdin.flush()


def _line(process: Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError("a subscriber has ended")
    return line


def main() -> None:
    """See the module."""
    port, *topics = sys.argv[1:]
    listener, subscribed = Listener(), threading.Event()
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv311)

    def subscribe(*_: object) -> None:
        client.subscribe([(topic, 0) for topic in (*topics, _LOST)])

    client.on_connect = subscribe
    client.on_subscribe = lambda *_: subscribed.set()
    client.on_message = listener.take
    client.connect(HOST, int(port))
    client.loop_start()
    if not subscribed.wait(30):
        sys.exit("the broker took no subscription")
    print("ready", flush=True)
    for line in sys.stdin:
        if line == "begin\n":
            listener.begin()
        else:
            print(json.dumps(listener.counted()), flush=True)


if __name__ == "__main__":
    main()

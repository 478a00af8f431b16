"""The demonstration's subscriber: what somebody else receives from the broker."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from amqtt.client import MQTTClient
from amqtt.errors import AMQTTError, ClientError
from amqtt.mqtt.constants import QOS_1

from daemon.errors import DaemonError
from daemon.system.worker_thread import WorkerThread

_RATE_OVER = 3.0  # seconds


@dataclass
class Received:
    """What came from one camera."""

    state: str = "-"
    reason: str | None = None
    messages: list[dict[str, Any]] = field(default_factory=list)
    """payloads of the detections topic, oldest first"""
    events: dict[str, dict[str, Any]] = field(default_factory=dict)
    """payloads of the events topic by their id, oldest first"""
    arrivals: deque[float] = field(default_factory=lambda: deque(maxlen=500))
    """time.monotonic() of the last of them"""

    @property
    def fps(self) -> float:
        """Messages per second over the last seconds."""
        recent = [at for at in tuple(self.arrivals) if at > time.monotonic() - _RATE_OVER]
        return (len(recent) - 1) / (recent[-1] - recent[0]) if len(recent) > 1 else 0.0

    @property
    def latencies(self) -> list[float]:
        """Total latency of each message, milliseconds."""
        return [message["latency_ms"]["total"] for message in self.messages]


class Subscriber:
    """Receives everything below `<prefix>/<device>` in a thread of its own and writes it down as JSON lines."""

    def __init__(self, host: str, port: int, prefix: str, record: Path) -> None:
        """`record` gets a line {"topic": …, "payload": …} for each message."""
        self.device = "unknown"
        self.cameras: dict[str, Received] = {}
        self._url = f"mqtt://{host}:{port}/"
        self._prefix = prefix
        self._record = record
        self._ready = threading.Event()
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = WorkerThread("subscriber", self._run, self._failed)

    def start(self, timeout: float = 10.0) -> None:
        """Returns once the subscription stands. Raises DaemonError where the broker does not take it."""
        self._thread.start()
        if not self._ready.wait(timeout) or isinstance(self._failure, (AMQTTError, ClientError, OSError)):
            raise DaemonError(f"no broker answers at {self._url}; start one there or leave out --broker")
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Unsubscribes and ends the thread."""
        self._stop.set()
        self._thread.join(5)

    def _run(self) -> None:
        asyncio.run(self._receive())

    def _failed(self, error: BaseException) -> None:
        self._failure = error
        self._ready.set()

    async def _receive(self) -> None:
        client = MQTTClient(config={"auto_reconnect": False})
        await client.connect(self._url)
        await client.subscribe([(f"{self._prefix}/#", QOS_1)])
        self._ready.set()
        with self._record.open("wb") as record:
            while not self._stop.is_set():
                try:
                    message = await client.deliver_message(timeout_duration=0.2)
                except asyncio.TimeoutError:
                    continue
                if message is not None and message.data is not None:
                    self._take(message.topic.removeprefix(f"{self._prefix}/"), bytes(message.data), record.write)
        await client.disconnect()

    def _take(self, topic: str, payload: bytes, write: Callable[[bytes], object]) -> None:
        if topic == "status":
            self.device = payload.decode()
            return
        document = orjson.loads(payload)
        write(orjson.dumps({"topic": f"{self._prefix}/{topic}", "payload": document}) + b"\n")
        camera, _, what = topic.partition("/")
        if what == "status":
            received = self.cameras.setdefault(camera, Received())
            received.state, received.reason = document["state"], document["reason"]
        elif what == "detections":
            received = self.cameras.setdefault(camera, Received())
            received.messages.append(document)
            received.arrivals.append(time.monotonic())
        elif what == "events":
            self.cameras.setdefault(camera, Received()).events[document["id"]] = document

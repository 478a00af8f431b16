"""What a broker carries of ospreyd, put together from its messages: devices, cameras, rates, latencies, objects."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from daemon.mqtt.incoming import Received, Subscription
from daemon.publish.messages import CameraStatusPayload, DetectionsPayload, InfoPayload, StatsPayload

_LARGEST = 1 << 20  # bytes of a message that is looked at
_MOST = 10_000  # devices, and cameras of one, that are shown: a broker may carry anything
_RATE_OVER = 5.0  # seconds
_LATEST = 500  # detections messages of a camera that rate and latency are of


@dataclass
class SeenCamera:
    """What came of one camera."""

    state: str = "-"
    reason: str | None = None
    detail: str = ""
    dropped: int | None = None
    """frames and messages since the daemon started; None until it has said so"""
    objects: dict[str, int] = field(default_factory=dict)
    """in its latest message, by label"""
    arrivals: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=_LATEST))
    """of messages: time.monotonic(), and latency in milliseconds"""

    def report(self, name: str, now: float) -> dict[str, Any]:
        """Fit for JSON."""
        recent = [(at, latency) for at, latency in self.arrivals if at > now - _RATE_OVER]
        latencies = sorted(latency for _, latency in recent)
        spread = recent[-1][0] - recent[0][0] if len(recent) > 1 else 0.0
        return {
            "camera": name,
            "state": self.state,
            "reason": self.reason,
            "detail": self.detail,
            "fps": round((len(recent) - 1) / spread, 2) if spread else 0.0,
            "latency_ms": {"p50": _part(latencies, 0.5), "p95": _part(latencies, 0.95)} if latencies else None,
            "dropped": self.dropped,
            "objects": self.objects,
            "age_s": round(now - self.arrivals[-1][0], 1) if self.arrivals else None,
        }


@dataclass
class SeenDevice:
    """What came of one device."""

    status: str = "-"
    version: str | None = None
    backend: str | None = None
    cameras: dict[str, SeenCamera] = field(default_factory=dict)

    def camera(self, name: str) -> SeenCamera:
        """The camera, known already or not."""
        if len(self.cameras) >= _MOST and name not in self.cameras:
            return SeenCamera()
        return self.cameras.setdefault(name, SeenCamera())


class Seen:
    """Everything below a prefix. Messages that are none of ospreyd's are counted and left out."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._lock = threading.Lock()
        self._devices: dict[str, SeenDevice] = {}
        self._unreadable = 0
        levels = ("status", "info", "stats", "+/status", "+/detections")
        self.subscription = Subscription(tuple(f"{prefix}/+/{level}" for level in levels), self._take, _LARGEST)
        """for the link that brings the messages"""

    def report(self) -> dict[str, Any]:
        """What is known now, fit for JSON."""
        now = time.monotonic()
        with self._lock:
            devices = [
                {
                    "device": name,
                    "status": device.status,
                    "version": device.version,
                    "backend": device.backend,
                    "cameras": [camera.report(of, now) for of, camera in sorted(device.cameras.items())],
                }
                for name, device in sorted(self._devices.items())
            ]
            return {"devices": devices, "unreadable": self._unreadable}

    def _take(self, message: Received) -> None:
        """In the link's thread."""
        with self._lock:
            try:
                self._sort(message.topic.removeprefix(f"{self._prefix}/").split("/"), message.payload)
            except (ValidationError, UnicodeDecodeError, LookupError):
                self._unreadable += 1

    def _sort(self, levels: list[str], payload: bytes) -> None:
        """Raises ValidationError, UnicodeDecodeError, and LookupError for a topic that was not asked for."""
        read = _READERS[len(levels) - 2, levels[-1]]
        if levels[0] not in self._devices and len(self._devices) >= _MOST:
            return
        device = self._devices.get(levels[0], SeenDevice())
        read(device, levels[1], payload)
        self._devices[levels[0]] = device


def _status(device: SeenDevice, _: str, payload: bytes) -> None:
    device.status = payload[:20].decode()


def _info(device: SeenDevice, _: str, payload: bytes) -> None:
    info: InfoPayload = _INFO.validate_json(payload)
    device.version, device.backend = info["version"], info["backend"]
    known = set(info["cameras"][:_MOST])
    device.cameras = {name: device.camera(name) for name in known}


def _stats(device: SeenDevice, _: str, payload: bytes) -> None:
    stats: StatsPayload = _STATS.validate_json(payload)
    for name, camera in stats["cameras"].items():
        device.camera(name).dropped = sum(camera["dropped"].values())


def _camera_status(device: SeenDevice, name: str, payload: bytes) -> None:
    status: CameraStatusPayload = _CAMERA_STATUS.validate_json(payload)
    camera = device.camera(name)
    camera.state, camera.detail = status["state"].value, status["detail"]
    camera.reason = None if status["reason"] is None else status["reason"].value


def _detections(device: SeenDevice, name: str, payload: bytes) -> None:
    detections: DetectionsPayload = _DETECTIONS.validate_json(payload)
    camera = device.camera(name)
    camera.objects = dict(Counter(found["label"] for found in detections["objects"]))
    camera.arrivals.append((time.monotonic(), detections["latency_ms"]["total"]))


def _part(ordered: list[float], part: float) -> float:
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * part))], 1)


_INFO: TypeAdapter[Any] = TypeAdapter(InfoPayload)
_STATS: TypeAdapter[Any] = TypeAdapter(StatsPayload)
_CAMERA_STATUS: TypeAdapter[Any] = TypeAdapter(CameraStatusPayload)
_DETECTIONS: TypeAdapter[Any] = TypeAdapter(DetectionsPayload)
_READERS: dict[tuple[int, str], Callable[[SeenDevice, str, bytes], None]] = {
    (0, "status"): _status,
    (0, "info"): _info,
    (0, "stats"): _stats,
    (1, "status"): _camera_status,
    (1, "detections"): _detections,
}
"""By levels between the device and the last one, and that."""

"""Collects devices, cameras, rates, latencies and objects from ospreyd's messages on a broker."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from daemon.mqtt.incoming import Received, Subscription
from daemon.publish.channels import CHANNELS
from daemon.publish.event_messages import LinePayload, ZonePayload
from daemon.publish.messages import CameraStatusPayload, DetectionsPayload, InfoPayload, StatsPayload

_LARGEST = 1 << 20  # bytes; larger messages are ignored
_MOST = 10_000  # devices, and cameras per device, because a broker may carry anything
_MOST_AREAS = 100  # zones, and lines, of a camera
_RATE_OVER = 5.0  # seconds
_LATEST = 500  # detections messages per camera for rate and latency


@dataclass
class SeenCamera:
    """Messages of one camera."""

    state: str = "-"
    reason: str | None = None
    detail: str = ""
    dropped: int | None = None
    """frames and messages since the daemon started; None before its first stats"""
    objects: dict[str, int] = field(default_factory=dict)
    """count by label in the latest message"""
    zones: dict[str, dict[str, int]] = field(default_factory=dict)
    """by zone, objects in it by label"""
    lines: dict[str, dict[str, int]] = field(default_factory=dict)
    """by line, crossings in and out"""
    arrivals: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=_LATEST))
    """time.monotonic() of each message, and its latency in milliseconds"""

    def report(self, name: str, now: float) -> dict[str, Any]:
        """Ready for JSON."""
        recent = [(at, latency) for at, latency in self.arrivals if at > now - _RATE_OVER]
        latencies = sorted(latency for _, latency in recent)
        spread = recent[-1][0] - recent[0][0] if len(recent) > 1 else 0.0
        areas = {key: found for key, found in (("zones", self.zones), ("lines", self.lines)) if found}
        return {
            **areas,
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
    """Messages of one device."""

    status: str = "-"
    version: str | None = None
    backend: str | None = None
    cameras: dict[str, SeenCamera] = field(default_factory=dict)

    def camera(self, name: str) -> SeenCamera:
        """The camera, created if new."""
        if len(self.cameras) >= _MOST and name not in self.cameras:
            return SeenCamera()
        return self.cameras.setdefault(name, SeenCamera())


class Seen:
    """Everything below a topic prefix. Messages that are not ospreyd's are counted and ignored."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._lock = threading.Lock()
        self._devices: dict[str, SeenDevice] = {}
        self._unreadable = 0
        self._channels = [(one, _READERS[one.name]) for one in CHANNELS if one.name in _READERS]
        filters = tuple(channel.pattern(prefix) for channel, _ in self._channels)
        self.subscription = Subscription(filters, self._take, _LARGEST)
        """for the link that brings the messages"""

    def report(self) -> dict[str, Any]:
        """The current state, ready for JSON."""
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
                self._sort(message.topic, message.payload)
            except (ValidationError, UnicodeDecodeError, LookupError):
                self._unreadable += 1

    def _sort(self, topic: str, payload: bytes) -> None:
        """Raises ValidationError, UnicodeDecodeError, and LookupError for an unexpected topic."""
        for channel, read in self._channels:
            if (found := channel.parameters(self._prefix, topic)) is not None:
                name = found["device"]
                if name in self._devices or len(self._devices) < _MOST:
                    device = self._devices.get(name, SeenDevice())
                    read(device, found, payload)
                    self._devices[name] = device
                return
        raise LookupError(topic)


def _status(device: SeenDevice, _: Mapping[str, str], payload: bytes) -> None:
    device.status = payload[:20].decode()


def _info(device: SeenDevice, _: Mapping[str, str], payload: bytes) -> None:
    info: InfoPayload = _INFO.validate_json(payload)
    device.version, device.backend = info["version"], info["backend"]
    known = set(info["cameras"][:_MOST])
    device.cameras = {name: device.camera(name) for name in known}


def _stats(device: SeenDevice, _: Mapping[str, str], payload: bytes) -> None:
    stats: StatsPayload = _STATS.validate_json(payload)
    for name, camera in stats["cameras"].items():
        device.camera(name).dropped = sum(camera["dropped"].values())


def _camera_status(device: SeenDevice, topic: Mapping[str, str], payload: bytes) -> None:
    status: CameraStatusPayload = _CAMERA_STATUS.validate_json(payload)
    camera = device.camera(topic["camera"])
    camera.state, camera.detail = status["state"].value, status["detail"]
    camera.reason = None if status["reason"] is None else status["reason"].value


def _detections(device: SeenDevice, topic: Mapping[str, str], payload: bytes) -> None:
    detections: DetectionsPayload = _DETECTIONS.validate_json(payload)
    camera = device.camera(topic["camera"])
    camera.objects = dict(Counter(found["label"] for found in detections["objects"]))
    camera.arrivals.append((time.monotonic(), detections["latency_ms"]["total"]))


def _zone(device: SeenDevice, topic: Mapping[str, str], payload: bytes) -> None:
    zones = device.camera(topic["camera"]).zones
    if not payload:  # it was removed
        zones.pop(topic["zone"], None)
    elif topic["zone"] in zones or len(zones) < _MOST_AREAS:
        zone: ZonePayload = _ZONE.validate_json(payload)
        zones[topic["zone"]] = {label: count for label, count in zone["counts"].items() if count}


def _line(device: SeenDevice, topic: Mapping[str, str], payload: bytes) -> None:
    lines = device.camera(topic["camera"]).lines
    if not payload:
        lines.pop(topic["line"], None)
    elif topic["line"] in lines or len(lines) < _MOST_AREAS:
        line: LinePayload = _LINE.validate_json(payload)
        lines[topic["line"]] = {"in": sum(line["in"].values()), "out": sum(line["out"].values())}


def _part(ordered: list[float], part: float) -> float:
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * part))], 1)


_INFO: TypeAdapter[Any] = TypeAdapter(InfoPayload)
_STATS: TypeAdapter[Any] = TypeAdapter(StatsPayload)
_CAMERA_STATUS: TypeAdapter[Any] = TypeAdapter(CameraStatusPayload)
_DETECTIONS: TypeAdapter[Any] = TypeAdapter(DetectionsPayload)
_ZONE: TypeAdapter[Any] = TypeAdapter(ZonePayload)
_LINE: TypeAdapter[Any] = TypeAdapter(LinePayload)
_READERS: dict[str, Callable[[SeenDevice, Mapping[str, str], bytes], None]] = {
    "status": _status,
    "info": _info,
    "stats": _stats,
    "camera-status": _camera_status,
    "detections": _detections,
    "zone": _zone,
    "line": _line,
}
"""By name of the channel."""

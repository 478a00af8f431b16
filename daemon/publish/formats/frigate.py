"""Frigate's messages: events, counts, availability, statistics, snapshots and `detect/set`."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

import orjson

from daemon.config.formats import Frigate as Options
from daemon.config.schema import Config
from daemon.control.command_payloads import shortened
from daemon.control.commands import ChangeSetting, CommandRejected, CommandRequest, CommandScope
from daemon.control.parse import reject_retained, require_known
from daemon.control.settings import Setting, Value
from daemon.mqtt.incoming import Received
from daemon.mqtt.outgoing import Message, Presence
from daemon.mqtt.topics import DeviceTopics, Topic, level
from daemon.publish.formats.camera_labels import published_classes
from daemon.publish.formats.counts import Counts
from daemon.publish.formats.format import DeliveryKind, Format, FrameMessage, OutgoingMessage
from daemon.publish.formats.frigate_objects import SeenObject
from daemon.records import CameraStats, DaemonInfo, DaemonStats, Event, EventType, FrameResult

_STATS_EVERY = 60.0  # seconds, at least; Frigate's own
_ALL = "all"  # the topic level of counts of all classes
_SWITCH = {b"ON": True, b"OFF": False}


class Frigate(Format):
    """An object is the presence of a class at a camera, from `appeared` to `gone`; its box is the best one."""

    def __init__(self, options: Options, topics: DeviceTopics, _device: str) -> None:
        self._prefix = prefix = Topic(options.prefix)
        self._answers = topics.answer
        self.root = prefix.name
        self.presence = Presence(prefix / "available", b"online", b"offline")
        self.patterns = (f"{prefix}/+/detect/set",)
        self._config: Config | None = None
        self._version = ""
        self._backend = ""
        self._labels: dict[str, tuple[str, ...]] = {}
        self._enabled: set[str] = set()
        self._counts: dict[str, Counts] = {}
        self._objects: dict[tuple[str, str], SeenObject] = {}
        """by camera and class"""
        self._next_stats = 0.0
        self._reported: dict[str, CameraStats] = {}
        self._reported_at = 0.0

    def configure(self, config: Config, info: DaemonInfo) -> Iterable[OutgoingMessage]:
        """See Format.configure."""
        self._config, self._version, self._backend = config, info.version, info.backend
        labels = {name: (*published_classes(config, name, info), _ALL) for name in config.cameras}
        disabled = {name for name in self._enabled if name in labels and not self._is_enabled(name)}
        reset = {name for name, of in labels.items() if self._labels.get(name) != of} | disabled
        gone = [
            OutgoingMessage(topic, b"")
            for name, of in self._labels.items()
            for label in of
            if label not in labels.get(name, ())
            for topic in (self._count(name, label, 0).topic, self._snapshot(name, label))
        ]
        self._counts = {name: Counts(of) if name in reset else self._counts[name] for name, of in labels.items()}
        self._labels = labels
        self._enabled = {name for name in labels if self._is_enabled(name)}
        zeros = [self._count(name, label, 0) for name in reset for label in labels[name]]
        pictures = [
            OutgoingMessage(self._snapshot(name, label), kind=DeliveryKind.PICTURE, camera=name)
            for name in reset
            for label in labels[name]
        ]
        ended = self._end(name for name, _ in self._objects if not self._is_enabled(name))
        return [*ended, *gone, *zeros, *pictures]

    def event(self, event: Event) -> Iterable[OutgoingMessage]:
        """See Format.event."""
        if event.type not in (EventType.APPEARED, EventType.GONE) or event.label is None or self._config is None:
            return ()
        key = event.camera, event.label
        if event.type is EventType.APPEARED:
            snapshots = self._config.events.snapshot != "none"
            self._objects[key] = SeenObject(event.camera, event.label, event.time, snapshots)
        elif (gone := self._objects.pop(key, None)) is not None and (payload := gone.end(event.time)) is not None:
            return (self._event(payload),)
        return ()

    def result(self, result: FrameResult) -> Iterable[OutgoingMessage]:
        """See Format.result."""
        if (counts := self._counts.get(result.camera)) is None:
            return ()
        seen = Counter(result.labels[index] for index in result.detections.labels.tolist())
        seen[_ALL] = sum(seen[label] for label in self._labels[result.camera][:-1])
        messages = [self._count(result.camera, *one) for one in counts.see(result.captured_mono, seen).items()]
        for label in seen:
            there = self._objects.get((result.camera, label))
            if there is not None and (payload := there.see(result)) is not None:
                messages.append(self._event(payload))
        return messages

    def setting(self, camera: str, which: Setting, value: Value) -> Iterable[OutgoingMessage]:
        """See Format.setting."""
        if which is not Setting.ENABLED:
            return ()
        return (
            OutgoingMessage(
                (self._prefix / camera / "detect" / "state").name, b"ON" if value else b"OFF", camera=camera
            ),
        )

    def stats(self, report: DaemonStats) -> Iterable[FrameMessage]:
        """See Format.stats."""
        now = time.monotonic()
        if now < self._next_stats:
            return ()
        self._next_stats = now + _STATS_EVERY
        elapsed = max(now - self._reported_at, 1e-9) if self._reported_at else report.uptime
        cameras = {name: self._camera_stats(name, camera, elapsed) for name, camera in report.cameras.items()}
        self._reported, self._reported_at = dict(report.cameras), now
        speed = report.latency.get("detector")
        payload = {
            **{key: round(sum(camera[key] for camera in cameras.values()), 1) for key in _RATES},
            "cameras": cameras,
            "detectors": {
                self._backend: {
                    "inference_speed": round(speed.p50, 2) if speed else 0.0,
                    "detection_start": 0.0,
                    "pid": os.getpid(),
                }
            },
            "service": {
                "uptime": int(report.uptime),
                "version": f"ospreyd {self._version}",
                "latest_version": "unknown",
                "storage": {},
                "temperatures": {},
                "last_updated": int(time.time()),
            },
        }
        return (((self._prefix / "stats").name, orjson.dumps(payload)),)

    def pictures(self, camera: str, labels: frozenset[str], jpeg: bytes) -> Iterable[Message]:
        """See Format.pictures."""
        for label in sorted(labels):
            yield Message(self._snapshot(camera, label), jpeg, "image/jpeg", retain=True)

    def request(self, scope: CommandScope, message: Received) -> CommandRequest | None:
        """See Format.request."""
        match message.topic.removeprefix(f"{self._prefix}/").split("/"):
            case [camera, "detect", "set"] if message.topic.startswith(f"{self._prefix}/"):
                return CommandRequest(shortened(message.topic), _switch(camera, scope, message), self._answers, None)
        return None

    def close(self) -> Iterable[OutgoingMessage]:
        """See Format.close."""
        return self._end(name for name, _ in self._objects)

    def _is_enabled(self, camera: str) -> bool:
        return self._config is not None and camera in self._config.cameras and self._config.cameras[camera].enabled

    def _end(self, cameras: Iterable[str]) -> list[OutgoingMessage]:
        """Ends the objects of cameras that are no longer processed."""
        gone, now = set(cameras), time.time()
        ended = [self._objects.pop(key).end(now) for key in list(self._objects) if key[0] in gone]
        return [self._event(payload) for payload in ended if payload is not None]

    def _event(self, payload: bytes) -> OutgoingMessage:
        return OutgoingMessage((self._prefix / "events").name, payload, DeliveryKind.EVENT)

    def _count(self, camera: str, label: str, number: int) -> OutgoingMessage:
        return OutgoingMessage((self._prefix / camera / level(label)).name, str(number).encode(), camera=camera)

    def _snapshot(self, camera: str, label: str) -> str:
        return (self._prefix / camera / level(label) / "snapshot").name

    def _camera_stats(self, name: str, camera: CameraStats, elapsed: float) -> dict[str, Any]:
        """Rates since the last message, frames a second."""
        before = self._reported.get(name)
        if before is not None and before.captured > camera.captured:
            before = None  # it was removed and has come again
        captured = camera.captured - (before.captured if before else 0)
        processed = camera.processed - (before.processed if before else 0)
        rates = captured / elapsed, processed / elapsed, max(0, captured - processed) / elapsed, processed / elapsed
        return {
            **{key: round(rate, 1) for key, rate in zip(_RATES, rates, strict=True)},
            "detection_enabled": self._is_enabled(name),
            "pid": os.getpid(),
            "capture_pid": os.getpid(),
        }


FORMAT = Frigate

_RATES = ("camera_fps", "process_fps", "skipped_fps", "detection_fps")


def _switch(camera: str, scope: CommandScope, message: Received) -> ChangeSetting | CommandRejected:
    try:
        reject_retained(message)
        require_known(camera, scope.cameras, "camera")
    except CommandRejected as rejected:
        return rejected
    if message.payload not in _SWITCH:
        return CommandRejected("its payload must be ON or OFF")
    return ChangeSetting(camera, Setting.ENABLED, _SWITCH[message.payload])

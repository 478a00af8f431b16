"""Frigate's messages: events, counts, availability, statistics, snapshots and `detect/set`."""

from __future__ import annotations

import itertools
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
from daemon.publish.formats.frigate_tracked import ALL, Counted, TrackedObjects
from daemon.records import CameraStats, DaemonInfo, DaemonStats, Event, EventType, FrameResult
from daemon.records.object_events import ObjectEvent

_STATS_EVERY = 60.0  # seconds, at least; Frigate's own
_SWITCH = {b"ON": True, b"OFF": False}


class Frigate(Format):
    """Where objects are not tracked, one is the presence of a class at a camera, from `appeared` to `gone`."""

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
        self._pictures: dict[str, str] = {}
        """cameras by the topics of their pictures"""
        self._objects: dict[tuple[str, str], SeenObject] = {}
        """by camera and class"""
        self._tracked = TrackedObjects()
        self._tracked_counts: dict[Counted, int] = {}
        """as published, of tracked cameras and their zones"""
        self._next_stats = 0.0
        self._reported: dict[str, CameraStats] = {}
        self._reported_at = 0.0

    def configure(self, config: Config, info: DaemonInfo) -> Iterable[OutgoingMessage]:
        """See Format.configure."""
        self._config, self._version, self._backend = config, info.version, info.backend
        labels = {name: (*published_classes(config, name, info), ALL) for name in config.cameras}
        disabled = {name for name in self._enabled if name in labels and not self._is_enabled(name)}
        reset = {name for name, of in labels.items() if self._labels.get(name) != of} | disabled
        gone = [
            OutgoingMessage(self._count(name, label, 0).topic, b"")
            for name, of in self._labels.items()
            for label in of
            if label not in labels.get(name, ())
        ]
        self._counts = {name: Counts(of) if name in reset else self._counts[name] for name, of in labels.items()}
        self._labels = labels
        self._enabled = {name for name in labels if self._is_enabled(name)}
        zeros = [self._count(name, label, 0) for name in reset for label in labels[name]]
        switches = [OutgoingMessage(self._switch_state(name), kind=DeliveryKind.CLAIMED, camera=name) for name in reset]
        ended = self._end(name for name, _ in self._objects if not self._is_enabled(name) or config.tracked(name))
        return [*ended, *gone, *zeros, *switches, *self._configure_pictures(config), *self._configure_counts(config)]

    def event(self, event: Event) -> Iterable[OutgoingMessage]:
        """See Format.event."""
        if self._config is None:
            return ()
        if isinstance(event, ObjectEvent):
            snapshots = self._config.events.snapshot != "none"
            ended = self._tracked.event(event, snapshots=snapshots, waits=self._waits(event))
            return [*map(self._event, ended), *self._count_tracked()]
        if event.type not in (EventType.APPEARED, EventType.GONE) or event.label is None:
            return ()
        if self._config.tracked(event.camera):
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
        if result.objects is not None:
            return [self._event(payload) for payload in self._tracked.result(result)]
        seen = Counter(result.labels[index] for index in result.detections.labels.tolist())
        seen[ALL] = sum(seen[label] for label in self._labels[result.camera][:-1])
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
        return (OutgoingMessage(self._switch_state(camera), b"ON" if value else b"OFF", camera=camera),)

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

    def _waits(self, event: ObjectEvent) -> bool:
        """Whether an object counts as in the zone only once it stays."""
        camera = None if self._config is None else self._config.cameras.get(event.camera)
        zone = None if camera is None or event.zone is None else camera.zones.get(event.zone)
        return zone is not None and bool(zone.dwell)

    def _configure_pictures(self, config: Config) -> list[OutgoingMessage]:
        """Claims the topics of pictures, and clears those of which there are none any more."""
        pictured = self._labels if config.events.snapshot != "none" else {}
        before = self._pictures
        self._pictures = {self._snapshot(name, label): name for name, of in pictured.items() for label in of}
        new = [topic for topic in self._pictures if topic not in before]
        claimed = [OutgoingMessage(t, kind=DeliveryKind.CLAIMED, camera=self._pictures[t]) for t in new]
        return [*(OutgoingMessage(topic, b"") for topic in before if topic not in self._pictures), *claimed]

    def _configure_counts(self, config: Config) -> list[OutgoingMessage]:
        """Zeros for what is counted of tracked objects from now on, and clears what no longer is."""
        before, self._tracked_counts = self._tracked_counts, {}
        zeros = []
        for name in filter(config.tracked, self._labels):
            places = (name, *config.cameras[name].zones)
            for counted in itertools.product(places, self._labels[name], (False, True)):
                self._tracked_counts[counted] = before.get(counted, 0)
                if counted not in before and (counted[0], counted[2]) != (name, False):  # which has its zero already
                    zeros.append(self._tracked_count(counted))
        gone = [counted for counted in before if counted not in self._tracked_counts]
        cleared = [self._topic(*counted) for counted in gone if counted[2] or counted[0] not in self._labels]
        return [*(OutgoingMessage(topic, b"") for topic in cleared), *zeros]

    def _count_tracked(self) -> list[OutgoingMessage]:
        """The counts of tracked objects that have changed."""
        found = self._tracked.counts()
        changed = [each for each, told in self._tracked_counts.items() if found[each] != told]
        self._tracked_counts |= {each: found[each] for each in changed}
        return [self._tracked_count(each) for each in changed]

    def _tracked_count(self, counted: Counted) -> OutgoingMessage:
        return OutgoingMessage(self._topic(*counted), str(self._tracked_counts[counted]).encode())

    def _topic(self, place: str, label: str, active: bool) -> str:
        topic = self._prefix / place / level(label)
        return (topic / "active" if active else topic).name

    def _event(self, payload: bytes) -> OutgoingMessage:
        return OutgoingMessage((self._prefix / "events").name, payload, DeliveryKind.EVENT)

    def _count(self, camera: str, label: str, number: int) -> OutgoingMessage:
        return OutgoingMessage((self._prefix / camera / level(label)).name, str(number).encode(), camera=camera)

    def _switch_state(self, camera: str) -> str:
        return (self._prefix / camera / "detect" / "state").name

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

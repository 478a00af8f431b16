"""Home Assistant's MQTT discovery: what it needs to make entities of cameras, and the states of those entities."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any
from zlib import crc32

import orjson

from daemon.config.schema import Config
from daemon.control.settings import Setting
from daemon.mqtt.incoming import Received
from daemon.mqtt.outgoing import Message
from daemon.mqtt.topics import DeviceTopics, Topic
from daemon.publish.formats.counts import Counts
from daemon.publish.formats.format import Format, Kind, Said
from daemon.publish.formats.labels import looked_for
from daemon.records import DaemonInfo, Event, EventType, FrameResult

_ON, _OFF = b"ON", b"OFF"
_STREAMING = "value_json.state == 'streaming'"


class HomeAssistant(Format):
    """One device for the box and one for each camera, which is gone when the camera is."""

    def __init__(self, prefix: Topic, topics: DeviceTopics, device: str) -> None:
        self._prefix = prefix
        self._topics = topics
        self._device = device
        self._node = f"ospreyd_{device}"
        self._id = f"ospreyd_{joined(device)}"
        self.root = prefix.name
        self.patterns = (f"{prefix}/+/{self._node}/+/config",)
        self._discovery: dict[str, bytes] = {}
        self._labels: dict[str, tuple[str, ...]] = {}
        self._counts: dict[str, Counts] = {}

    def configure(self, config: Config, info: DaemonInfo) -> Iterable[Said]:
        """See Format.configure."""
        labels = {name: looked_for(config, name, info) for name in config.cameras}
        if self._discovery and labels == self._labels:
            return ()  # told often while a model is built, and long where there are many classes
        wanted = self._wanted(labels, info.version)
        gone = [Said(topic, b"") for topic in self._discovery if topic not in wanted]
        gone += [
            Said(topic, b"")
            for name, of in self._labels.items()
            for label in of
            if label not in labels.get(name, ())
            for topic in (self._occupancy(name, label), self._count(name, label))
        ]
        new = [Said(topic, payload) for topic, payload in wanted.items() if self._discovery.get(topic) != payload]
        self._discovery = wanted
        changed = {name: of for name, of in labels.items() if self._labels.get(name) != of}
        self._counts = {name: Counts(of) if name in changed else self._counts[name] for name, of in labels.items()}
        self._labels = labels
        first = [said for name, of in changed.items() for label in of for said in self._absent(name, label)]
        first += [Said(self._image(name), kind=Kind.PICTURE, camera=name) for name in changed]
        return [*gone, *new, *first]

    def result(self, result: FrameResult) -> Iterable[Said]:
        """See Format.result."""
        if (counts := self._counts.get(result.camera)) is None:
            return ()
        seen = Counter(result.labels[index] for index in result.detections.labels.tolist())
        changed = counts.see(result.captured_mono, seen)
        return [
            Said(self._count(result.camera, label), str(number).encode(), camera=result.camera)
            for label, number in changed.items()
        ]

    def event(self, event: Event) -> Iterable[Said]:
        """See Format.event."""
        if event.type is EventType.CAMERA_STATE or event.label not in self._labels.get(event.camera, ()):
            return ()
        there = _ON if event.type is EventType.APPEARED else _OFF
        return (Said(self._occupancy(event.camera, event.label), there, camera=event.camera),)

    def pictures(self, camera: str, labels: frozenset[str], jpeg: bytes) -> Iterable[Message]:
        """See Format.pictures. Kept by the broker, since Home Assistant itself forgets it at a restart."""
        return (Message(self._image(camera), jpeg, "image/jpeg", retain=True),)

    def is_echo(self, topic: str) -> bool:
        """See Format.is_echo."""
        return topic.startswith(f"{self._prefix}/") and f"/{self._node}/" in topic and topic.endswith("/config")

    def echo(self, message: Received) -> Iterable[Said]:
        """See Format.echo."""
        left = message.retained and self._discovery and message.topic not in self._discovery
        return (Said(message.topic, kind=Kind.CLEARED),) if left else ()

    def _absent(self, camera: str, label: str) -> Iterable[Said]:
        yield Said(self._occupancy(camera, label), _OFF, camera=camera)
        yield Said(self._count(camera, label), b"0", camera=camera)

    def _image(self, camera: str) -> str:
        return (self._topics.root / camera / "image").name

    def _occupancy(self, camera: str, label: str) -> str:
        return (self._topics.root / camera / "occupancy" / object_id(label)).name

    def _count(self, camera: str, label: str) -> str:
        return (self._topics.root / camera / "count" / object_id(label)).name

    def _wanted(self, labels: Mapping[str, Iterable[str]], version: str) -> dict[str, bytes]:
        """The discovery messages of everything, by topic."""
        box = {"identifiers": [self._id], "name": self._device, "manufacturer": "ospreyd", "sw_version": version}
        made = [self._entity(box, "binary_sensor", "connected", self._connected())]
        for camera, of in labels.items():
            shown = {
                "identifiers": [f"{self._id}_{joined(camera)}"],
                "name": f"{self._device} {camera}",
                "manufacturer": "ospreyd",
                "via_device": self._id,
            }
            for component, what, entity in self._of_camera(camera, of):
                made.append(self._entity(shown, component, joined(camera, *what), entity))
        return dict(made)

    def _entity(
        self, device: Mapping[str, Any], component: str, what: str, entity: Mapping[str, Any]
    ) -> tuple[str, bytes]:
        payload = {
            **entity,
            "unique_id": f"{self._id}_{what}",
            "qos": 1,
            "device": device,
            "origin": {"name": "ospreyd"},
        }
        return f"{self._prefix}/{component}/{self._node}/{what}/config", orjson.dumps(payload)

    def _connected(self) -> dict[str, Any]:
        return {
            "name": "Connected",
            "device_class": "connectivity",
            "entity_category": "diagnostic",
            "state_topic": self._topics.status.name,
            "payload_on": "online",
            "payload_off": "offline",
        }

    def _of_camera(self, camera: str, labels: Iterable[str]) -> Iterable[tuple[str, tuple[str, ...], dict[str, Any]]]:
        """Component, parts of its identifier and what it is, of each entity."""
        topics, root = self._topics.camera(camera), self._topics.root / camera
        device_there = {"topic": self._topics.status.name}
        camera_there = {
            "topic": topics.status.name,
            "value_template": f"{{{{ 'online' if {_STREAMING} else 'offline' }}}}",
        }
        always = {"availability": [device_there]}
        streaming = {"availability": [device_there, camera_there], "availability_mode": "all"}
        yield (
            "binary_sensor",
            ("connectivity",),
            {
                **always,
                "name": "Camera",
                "device_class": "connectivity",
                "entity_category": "diagnostic",
                "state_topic": topics.status.name,
                "value_template": f"{{{{ 'ON' if {_STREAMING} else 'OFF' }}}}",
                "json_attributes_topic": topics.status.name,
            },
        )
        yield (
            "switch",
            ("enabled",),
            {
                **always,
                "name": "Enabled",
                "icon": "mdi:cctv",
                "command_topic": f"{root}/set/{Setting.ENABLED.value}",
                "state_topic": topics.state(Setting.ENABLED.value).name,
                "value_template": "{{ value_json.value | tojson }}",
                "payload_on": "true",
                "payload_off": "false",
            },
        )
        yield (
            "number",
            ("confidence",),
            {
                **always,
                "name": "Confidence",
                "entity_category": "config",
                "icon": "mdi:tune-variant",
                "command_topic": f"{root}/set/{Setting.CONFIDENCE.value}",
                "state_topic": topics.state(Setting.CONFIDENCE.value).name,
                "value_template": "{{ value_json.value }}",
                "min": 0,
                "max": 1,
                "step": 0.01,
                "mode": "box",
            },
        )
        yield (
            "image",
            ("snapshot",),
            {
                **always,
                "name": "Snapshot",
                "image_topic": self._image(camera),
                "content_type": "image/jpeg",
            },
        )
        for label in labels:
            yield (
                "binary_sensor",
                (object_id(label), "occupancy"),
                {
                    **streaming,
                    "name": f"{label} occupancy",
                    "device_class": "occupancy",
                    "state_topic": self._occupancy(camera, label),
                },
            )
            yield (
                "sensor",
                (object_id(label), "count"),
                {
                    **streaming,
                    "name": f"{label} count",
                    "icon": "mdi:counter",
                    "state_class": "measurement",
                    "state_topic": self._count(camera, label),
                },
            )


def joined(*parts: str) -> str:
    """Names of letters, digits, - and _ as one, never the same for other names."""
    return "_".join(part.replace("-", "-d").replace("_", "-u") for part in parts)


def object_id(label: str) -> str:
    """A class name as part of topics and identifiers: letters, digits and _ only, never the same for two names."""
    if re.fullmatch(r"[a-z0-9]+( [a-z0-9]+)*", label):
        return label.replace(" ", "_")
    return f"{re.sub('[^a-z0-9]+', '_', label.lower()).strip('_') or 'class'}_{crc32(label.encode()):08x}"

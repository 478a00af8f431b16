"""Discovery messages of Home Assistant: one for each entity of the device and of its cameras. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import orjson

from daemon.control.settings import Setting, value_schema
from daemon.mqtt.topics import DeviceTopics, Topic
from daemon.publish.formats.homeassistant_areas import CameraAreas, dwell_topic, entities

_NAME = re.compile(r"[A-Za-z0-9_-]+")
_STREAMING = "value_json.state == 'streaming'"

Entity = tuple[str, tuple[str, ...], dict[str, Any]]
"""component, parts of its identifier below the camera's, and the rest of its discovery message"""


@dataclass(frozen=True, slots=True)
class Discovery:
    """Of one device."""

    prefix: Topic
    """of discovery"""
    topics: DeviceTopics
    device: str

    @property
    def node(self) -> str:
        """The level of discovery topics that is this device's own."""
        return f"ospreyd_{self.device}"

    def messages(
        self, labels: Mapping[str, Iterable[str]], areas: Mapping[str, CameraAreas], version: str
    ) -> dict[str, bytes]:
        """Payloads by topic; `labels` are the classes of each camera, `areas` its zones and lines."""
        box_id = f"ospreyd_{joined(self.device)}"
        box = {"identifiers": [box_id], "name": self.device, "manufacturer": "ospreyd", "sw_version": version}
        made = [self._message(box, "binary_sensor", "connected", self._connected())]
        for camera, classes in labels.items():
            shown = {
                "identifiers": [f"{box_id}_{joined(camera)}"],
                "name": f"{self.device} {camera}",
                "manufacturer": "ospreyd",
                "via_device": box_id,
            }
            for component, what, entity in self._of_camera(camera, classes):
                made.append(self._message(shown, component, joined(camera, *what), entity))
            for component, what, entity in entities(self.topics.camera(camera), areas[camera]):
                parts = joined(camera, *(part if _NAME.fullmatch(part) else object_id(part) for part in what))
                there = {"availability": [{"topic": self.topics.status.name}]}
                made.append(self._message(shown, component, parts, {**there, **entity}))
        return dict(made)

    def image(self, camera: str) -> str:
        """Topic of the latest picture."""
        return (self.topics.root / camera / "image").name

    def occupancy(self, camera: str, label: str) -> str:
        """Topic that says whether there is an object of a class."""
        return (self.topics.root / camera / "occupancy" / object_id(label)).name

    def count(self, camera: str, label: str) -> str:
        """Topic of the number of objects of a class."""
        return (self.topics.root / camera / "count" / object_id(label)).name

    def dwell(self, camera: str, zone: str) -> str:
        """Topic that says whether anything stays in a zone."""
        return dwell_topic(self.topics.camera(camera), zone)

    def _message(
        self, device: Mapping[str, Any], component: str, what: str, entity: Mapping[str, Any]
    ) -> tuple[str, bytes]:
        payload = {
            **entity,
            "unique_id": f"ospreyd_{joined(self.device)}_{what}",
            "qos": 1,
            "device": device,
            "origin": {"name": "ospreyd"},
        }
        return f"{self.prefix}/{component}/{self.node}/{what}/config", orjson.dumps(payload)

    def _connected(self) -> dict[str, Any]:
        return {
            "name": "Connected",
            "device_class": "connectivity",
            "entity_category": "diagnostic",
            "state_topic": self.topics.status.name,
            "payload_on": "online",
            "payload_off": "offline",
        }

    def _of_camera(self, camera: str, labels: Iterable[str]) -> Iterator[Entity]:
        status = self.topics.camera(camera).status.name
        device_there = {"topic": self.topics.status.name}
        always = {"availability": [device_there]}
        connectivity = {
            **always,
            "name": "Camera",
            "device_class": "connectivity",
            "entity_category": "diagnostic",
            "state_topic": status,
            "value_template": f"{{{{ 'ON' if {_STREAMING} else 'OFF' }}}}",
            "json_attributes_topic": status,
        }
        yield "binary_sensor", ("connectivity",), connectivity
        for setting in Setting:
            if (found := _of_setting(setting)) is not None:
                component, entity = found
                yield component, (setting.value,), {**always, **self._topics_of(camera, setting), **entity}
        image = {"name": "Snapshot", "image_topic": self.image(camera), "content_type": "image/jpeg"}
        yield "image", ("snapshot",), {**always, **image}
        camera_there = {"topic": status, "value_template": f"{{{{ 'online' if {_STREAMING} else 'offline' }}}}"}
        streaming = {"availability": [device_there, camera_there], "availability_mode": "all"}
        for label in labels:
            yield from self._of_class(camera, label, streaming)

    def _of_class(self, camera: str, label: str, availability: Mapping[str, Any]) -> Iterator[Entity]:
        occupancy = {
            "name": f"{label} occupancy",
            "device_class": "occupancy",
            "state_topic": self.occupancy(camera, label),
        }
        count = {
            "name": f"{label} count",
            "icon": "mdi:counter",
            "state_class": "measurement",
            "state_topic": self.count(camera, label),
        }
        yield "binary_sensor", (object_id(label), "occupancy"), {**availability, **occupancy}
        yield "sensor", (object_id(label), "count"), {**availability, **count}

    def _topics_of(self, camera: str, setting: Setting) -> dict[str, str]:
        root = self.topics.root / camera
        return {"command_topic": f"{root}/set/{setting.value}", "state_topic": f"{root}/state/{setting.value}"}


def _of_setting(setting: Setting) -> tuple[str, dict[str, Any]] | None:
    """Component and entity of a setting; None where Home Assistant has none for its values."""
    schema = value_schema(setting)
    schema = next(choice for choice in schema.get("anyOf", [schema]) if choice.get("type") != "null")
    entity: dict[str, Any] = {"name": setting.value.capitalize(), "icon": "mdi:tune-variant"}
    if setting is Setting.ENABLED:
        entity["icon"] = "mdi:cctv"
    else:
        entity["entity_category"] = "config"
    match schema:
        case {"type": "boolean"}:
            template = {"value_template": "{{ value_json.value | tojson }}"}
            return "switch", {**entity, **template, "payload_on": "true", "payload_off": "false"}
        case {"type": "number", "minimum": least, "maximum": most}:
            limits = {"min": least, "max": most, "step": 0.01 if most <= 1 else 1}
            return "number", {**entity, "value_template": "{{ value_json.value }}", **limits, "mode": "box"}
    return None


def joined(*parts: str) -> str:
    """Names of letters, digits, - and _ as one, never the same for other names."""
    return "_".join(part.replace("-", "-d").replace("_", "-u") for part in parts)


def object_id(label: str) -> str:
    """A class name as part of topics and identifiers: letters, digits and _ only, never the same for two names."""
    if re.fullmatch(r"[a-z0-9]+( [a-z0-9]+)*", label):
        return label.replace(" ", "_")
    return f"{re.sub('[^a-z0-9]+', '_', label.lower()).strip('_') or 'class'}_{crc32(label.encode()):08x}"

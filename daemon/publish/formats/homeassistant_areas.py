"""Home Assistant's entities of zones and lines: what their discovery messages say. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from daemon.config.schema import Config
from daemon.mqtt.topics import CameraTopics
from daemon.publish.formats.camera_labels import published_classes
from daemon.records import DaemonInfo

_VEHICLES = frozenset({"bicycle", "bus", "car", "motorbike", "motorcycle", "trailer", "truck", "van"})
"""classes of which it is of interest how many are parked"""
_EVENT_TYPES = ["line-crossed-in", "line-crossed-out", "zone-dwell"]
_EVENT_TEMPLATE = (
    "{% set e = value_json %}{% if e.type == 'line-crossed' or e.type == 'zone-dwell' %}"
    "{{ {'event_type': e.type if e.type == 'zone-dwell' else e.type ~ '-' ~ e.direction, 'label': e.label, "
    "'zone': e.zone, 'line': e.line, 'seconds': e.seconds, 'total': e.total, 'object': e.object.id} | tojson }}"
    "{% endif %}"
)
"""nothing for other events, which Home Assistant then ignores"""


@dataclass(frozen=True, slots=True)
class ZoneEntities:
    """What is shown of a zone."""

    labels: tuple[str, ...]
    dwell: bool
    """whether it reports that somebody stays"""


@dataclass(frozen=True, slots=True)
class CameraAreas:
    """Zones and lines of one camera by name; of lines the classes."""

    zones: Mapping[str, ZoneEntities]
    lines: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, config: Config, camera: str, info: DaemonInfo) -> CameraAreas:
        """As configured; nothing where the camera is not tracked."""
        if config.tracked(camera) is None:
            return cls({}, {})
        labels, own = published_classes(config, camera, info), config.cameras[camera]
        zones = {name: ZoneEntities(_wanted(labels, zone.labels), bool(zone.dwell)) for name, zone in own.zones.items()}
        return cls(zones, {name: _wanted(labels, line.labels) for name, line in own.lines.items()})


def _wanted(labels: tuple[str, ...], chosen: tuple[str, ...] | None) -> tuple[str, ...]:
    return tuple(label for label in labels if chosen is None or label in chosen)


def dwell_topic(topics: CameraTopics, zone: str) -> str:
    """Topic that says whether anything stays in a zone."""
    return (topics.root / "dwell" / zone).name


def entities(topics: CameraTopics, areas: CameraAreas) -> Iterator[tuple[str, tuple[str, ...], dict[str, Any]]]:
    """Component, parts of the identifier with class names as they are, and what is said, of each entity."""
    for zone, shown in areas.zones.items():
        yield from _of_zone(topics, zone, shown)
    for line, labels in areas.lines.items():
        state = topics.line(line).name
        for label in labels:
            for way in ("in", "out"):
                yield (
                    "sensor",
                    ("line", line, label, way),
                    {
                        "name": f"{line} {label} {way}",
                        "icon": "mdi:counter",
                        "state_class": "total_increasing",
                        "state_topic": state,
                        "value_template": f"{{{{ value_json['{way}'].get({json.dumps(label)}, 0) }}}}",
                    },
                )
    if areas.lines or any(zone.dwell for zone in areas.zones.values()):
        event = {"name": "Zones and lines", "state_topic": topics.events.name, "event_types": _EVENT_TYPES}
        yield "event", ("areas",), {**event, "value_template": _EVENT_TEMPLATE}


def _of_zone(
    topics: CameraTopics, zone: str, shown: ZoneEntities
) -> Iterator[tuple[str, tuple[str, ...], dict[str, Any]]]:
    state = {"state_topic": topics.zone(zone).name}
    for label in shown.labels:
        key = json.dumps(label)
        yield (
            "binary_sensor",
            ("zone", zone, label, "occupancy"),
            {
                **state,
                "name": f"{zone} {label} occupancy",
                "device_class": "occupancy",
                "value_template": f"{{{{ 'ON' if value_json.counts.get({key}, 0) > 0 else 'OFF' }}}}",
            },
        )
        counts = ["count", *(["stationary"] if label in _VEHICLES else [])]
        for what in counts:
            of = "counts" if what == "count" else "stationary"
            yield (
                "sensor",
                ("zone", zone, label, what),
                {
                    **state,
                    "name": f"{zone} {label} {what}",
                    "icon": "mdi:counter",
                    "state_class": "measurement",
                    "value_template": f"{{{{ value_json.{of}.get({key}, 0) }}}}",
                },
            )
    if shown.dwell:
        dwell = {"name": f"{zone} dwell", "device_class": "occupancy", "state_topic": dwell_topic(topics, zone)}
        yield "binary_sensor", ("zone", zone, "dwell"), dwell

"""What other formats say of objects, zones and lines."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from daemon.config.schema import Config
from daemon.records import EventType
from daemon.records.followed import Followed
from daemon.records.objects import ObjectEvent, ObjectSnapshot
from tests.daemon.formatting import RecordedFormats, seen
from tests.daemon.publishing import INFO, config

SQUARE = [[0, 0], [1, 0], [1, 1]]
AREAS: dict[str, Any] = {
    "zones": {"porch": {"polygon": SQUARE, "labels": ["person"], "dwell": 10}, "drive": {"polygon": SQUARE}},
    "lines": {"gate": {"points": [[0, 0], [1, 0]], "in": [0, 1], "labels": ["person"]}},
}
START = 1_700_000_000.0


def tracked(areas: dict[str, Any] = AREAS, **formats: dict[str, object]) -> Config:
    """The cameras front, with zones and a line, and yard, which is not tracked."""
    plain = config(1, formats=formats).model_dump(exclude_unset=True)
    cameras = {"front": {"source": "rtsp://a/1", **areas}, "yard": {"source": "rtsp://b/1", "tracking": None}}
    return Config.model_validate({**plain, "tracking": {}, "cameras": cameras})


def snapshot(number: int = 1, **more: Any) -> ObjectSnapshot:
    """A person, ten seconds after it was first seen."""
    values: dict[str, Any] = {
        "id": f"{START:.6f}-abcdef",
        "number": number,
        "label": "person",
        "score": 0.7,
        "top_score": 0.9,
        "box": (10.4, 20.0, 60.4, 120.0),
        "width": 1280,
        "height": 720,
        "first_seen": START,
        "last_seen": START + 10,
        "stationary": False,
        "zones": (),
        "visited": (),
        "heading": 90.0,
        "sequence": 7,
    }
    return ObjectSnapshot(**{**values, **more})


def event(kind: EventType, each: ObjectSnapshot, at: float = 10.0, **more: Any) -> ObjectEvent:
    return ObjectEvent("front", kind, START + at, each.label, object=each, **more)


def test_deepstreams_track_is_the_number_of_the_object() -> None:
    gate = RecordedFormats(tracked(deepstream={}))
    frame = replace(seen(0, ("person", 0.9), ("car", 0.8)), objects=(Followed("x", 1855833600000001, False, ()), None))
    ((_, payload),) = gate.formats.frames(frame)
    assert [each.split("|")[0] for each in json.loads(payload)["objects"]] == ["1855833600000001", "-1"]


def discovered(said: dict[str, bytes]) -> dict[str, dict[str, Any]]:
    """Discovery messages by the last part of the identifier."""
    found = [json.loads(payload) for topic, payload in said.items() if topic.startswith("homeassistant/") and payload]
    return {entity["unique_id"].removeprefix("ospreyd_gate_front_"): entity for entity in found}


def test_home_assistant_gets_entities_of_zones_and_lines() -> None:
    said = RecordedFormats(tracked(homeassistant={})).take()
    entities = discovered(said)
    of_areas = {name for name in entities if name.startswith(("zone", "line", "areas"))}
    assert of_areas == {
        "zone_porch_person_occupancy",
        "zone_porch_person_count",
        "zone_porch_dwell",
        *(f"zone_drive_{label}_{what}" for label in ("person", "bicycle", "car") for what in ("occupancy", "count")),
        "zone_drive_car_stationary",
        "zone_drive_bicycle_stationary",
        "line_gate_person_in",
        "line_gate_person_out",
        "areas",
    }
    assert entities["zone_porch_person_count"]["state_topic"] == "ospreyd/gate/front/zones/porch"
    assert entities["line_gate_person_in"]["state_class"] == "total_increasing"
    assert said["ospreyd/gate/front/dwell/porch"] == b"OFF"
    assert not [name for name in discovered(said) if name.startswith("yard_zone")]


def test_home_assistants_entities_go_with_their_zone_or_line() -> None:
    gate = RecordedFormats(tracked(homeassistant={}))
    gate.take()
    gate.formats.configure(tracked({"zones": {"drive": AREAS["zones"]["drive"]}}, homeassistant={}), INFO)
    said = gate.take()
    assert {topic for topic, payload in said.items() if not payload} == {
        *(f"homeassistant/{kind}/ospreyd_gate/front_{what}/config" for kind, what in (
            ("binary_sensor", "zone_porch_person_occupancy"), ("sensor", "zone_porch_person_count"),
            ("binary_sensor", "zone_porch_dwell"), ("sensor", "line_gate_person_in"),
            ("sensor", "line_gate_person_out"), ("event", "areas"),
        )),
        "ospreyd/gate/front/dwell/porch",
    }  # fmt: skip


def test_home_assistants_dwell_is_on_while_anybody_stays() -> None:
    gate = RecordedFormats(tracked(homeassistant={}))
    gate.take()
    topic, one, other = "ospreyd/gate/front/dwell/porch", snapshot(), snapshot(id="other")
    for each in (one, other):
        gate.formats.event(event(EventType.ZONE_ENTERED, each, zone="porch"))
    assert gate.take() == {}
    gate.formats.event(event(EventType.ZONE_DWELL, one, zone="porch", seconds=10))
    assert gate.take() == {topic: b"ON"}
    gate.formats.event(event(EventType.ZONE_DWELL, other, zone="porch", seconds=10))
    gate.formats.event(event(EventType.ZONE_LEFT, one, zone="porch", seconds=12))
    assert gate.take() == {}
    gate.formats.event(event(EventType.ZONE_LEFT, other, zone="porch", seconds=12))
    assert gate.take() == {topic: b"OFF"}

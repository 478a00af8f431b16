"""What other formats say of objects, zones and lines."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import Any

import numpy as np

from daemon.config.schema import Config
from daemon.records import EventType, FrameResult
from daemon.records.followed import Followed
from daemon.records.object_events import ObjectEvent
from daemon.records.objects import LeftReason, ObjectSnapshot
from tests.daemon.formatting import RecordedFormats, frigate_events, happened, seen
from tests.daemon.publishing import INFO, LABELS, config

SQUARE = [[0, 0], [1, 0], [1, 1]]
AREAS: dict[str, Any] = {
    "zones": {"porch": {"polygon": SQUARE, "labels": ["person"], "dwell": 10}, "drive": {"polygon": SQUARE}},
    "lines": {"gate": {"points": [[0, 0], [1, 0]], "in": [0, 1], "labels": ["person"]}},
}
START = 1_700_000_000.0


def tracked(areas: dict[str, Any] = AREAS, yard: dict[str, Any] | None = None, **formats: dict[str, object]) -> Config:
    """The cameras front, with zones and a line, and yard, which is not tracked unless it has something of its own."""
    plain = config(1, formats=formats).model_dump(exclude_unset=True)
    cameras = {
        "front": {"source": "rtsp://a/1", **areas},
        "yard": {"source": "rtsp://b/1", **(yard or {"tracking": None})},
    }
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


def frigate(snapshot_of: str = "none") -> RecordedFormats:
    """Frigate's messages of a tracked camera, after those of the start."""
    settings = tracked(frigate={})
    events = settings.events.model_copy(update={"snapshot": snapshot_of})
    made = RecordedFormats(settings.model_copy(update={"events": events}))
    made.take()
    return made


def frame(at: float, *scores: float, each: ObjectSnapshot, shift: float = 0.0) -> FrameResult:
    """A frame with so many sightings of one object, each a box width further right."""
    shown = seen(at, *(("person", score) for score in scores))
    shown.detections.boxes[:, [0, 2]] += np.float32(shift)
    return replace(shown, objects=(Followed(each.id, each.number, each.stationary, ()),) * len(scores))


def test_a_tracked_object_is_frigates_from_new_to_end() -> None:
    gate, each = frigate(), snapshot(last_seen=START)
    gate.formats.event(event(EventType.OBJECT_APPEARED, each, 0))
    gate.formats.event(event(EventType.ZONE_ENTERED, replace(each, zones=("drive",)), 0, zone="drive"))
    gate.formats.event(event(EventType.ZONE_ENTERED, replace(each, zones=("drive", "porch")), 0, zone="porch"))
    assert gate.events() == []
    gate.formats.result(frame(0, 0.8, each=each))
    gate.formats.result(frame(0.5, 0.9, each=each))  # better, but within a second
    gate.formats.result(frame(1.5, 0.7, each=each))
    gate.formats.event(event(EventType.ZONE_DWELL, each, 2, zone="porch", seconds=10))
    gate.formats.result(frame(2, 0.7, each=each, shift=100))
    gate.formats.event(event(EventType.OBJECT_STATIONARY, replace(each, stationary=True), 20))
    gate.formats.result(frame(20, 0.7, each=each, shift=100))
    gate.formats.event(event(EventType.OBJECT_MOVING, each, 30))
    gate.formats.result(frame(30, 0.7, each=each, shift=100))
    gate.formats.event(event(EventType.ZONE_LEFT, each, 31, zone="drive", seconds=31))
    gate.formats.event(event(EventType.ZONE_LEFT, each, 31, zone="porch", seconds=31))
    gate.formats.event(event(EventType.OBJECT_LEFT, replace(each, last_seen=START + 31), 33))
    told = frigate_events(gate.events())
    assert [one.type for one in told] == ["new", "update", "update", "update", "update", "end"]
    assert {one.after.id for one in told} == {each.id}
    assert [one.after.current_zones for one in told] == [["drive"]] * 2 + [["drive", "porch"]] * 3 + [[]]
    assert [one.after.pending_loitering for one in told] == [True] * 2 + [False] * 4
    assert told[-1].after.entered_zones == ["drive", "porch"]
    assert [one.after.stationary for one in told] == [False] * 3 + [True, False, False]
    assert [one.after.position_changes for one in told] == [0, 0, 1, 1, 2, 2]
    assert [one.after.top_score for one in told] == [0.8, *[0.9] * 5]
    assert (told[-1].after.end_time, told[0].after.start_time) == (START + 31, START)
    assert told[0].after.velocity_angle == 90.0
    for earlier, later in itertools.pairwise(told):
        assert later.before == earlier.after


def test_frigate_is_told_of_an_object_again_each_minute_and_of_no_class() -> None:
    gate, each = frigate(), snapshot(last_seen=START)
    gate.formats.event(happened(EventType.APPEARED, 0, "person"))  # of the class, which is not tracked
    gate.formats.event(event(EventType.OBJECT_APPEARED, each, 0))
    for second in range(130):
        gate.formats.result(frame(second, 0.7, each=each))
    assert [one.type for one in frigate_events(gate.events())] == ["new", "update", "update"]


def test_what_an_earlier_run_left_open_ends_for_frigate() -> None:
    gate = frigate()
    gate.formats.event(event(EventType.OBJECT_LEFT, snapshot(), left_because=LeftReason.RESTART))
    (end,) = frigate_events(gate.events())
    assert (end.type, end.after.end_time) == ("end", START + 10)
    assert gate.take() == {}


def test_frigates_counts_are_of_tracked_objects_also_in_zones() -> None:
    gate, one, other = frigate(), snapshot(), snapshot(id="other", label="car")
    for each in (one, other):
        gate.formats.event(event(EventType.OBJECT_APPEARED, each))
    gate.formats.event(event(EventType.ZONE_ENTERED, other, zone="drive"))
    counts = gate.take()
    assert counts["frigate/front/person"] == counts["frigate/front/person/active"] == b"1"
    assert counts["frigate/front/all"] == b"2"
    assert counts["frigate/drive/car"] == counts["frigate/drive/all/active"] == b"1"
    gate.formats.event(event(EventType.OBJECT_STATIONARY, replace(other, stationary=True)))
    assert gate.take() == {
        f"frigate/{place}/{label}/active": number
        for place, label, number in (
            ("front", "car", b"0"), ("front", "all", b"1"), ("drive", "car", b"0"), ("drive", "all", b"0")
        )
    }  # fmt: skip
    gate.formats.event(event(EventType.OBJECT_LEFT, one))
    gate.formats.event(event(EventType.OBJECT_LEFT, other))
    assert set(gate.take().values()) == {b"0"}


def test_frigates_zones_of_one_name_are_added_up() -> None:
    gate = RecordedFormats(tracked(frigate={}, yard={"zones": {"drive": AREAS["zones"]["drive"]}}))
    for camera, number in (("front", 1), ("yard", 2), ("yard", 3)):
        each = snapshot(number, id=f"{START:.6f}-abcde{number}")
        for kind in (EventType.OBJECT_APPEARED, EventType.ZONE_ENTERED):
            zone = "drive" if kind is EventType.ZONE_ENTERED else None
            gate.formats.event(replace(event(kind, each, zone=zone), camera=camera))
    counts = gate.take()
    assert (counts["frigate/drive/person"], counts["frigate/yard/person"], counts["frigate/front/all"]) == (
        b"3",
        b"2",
        b"1",
    )


def test_frigates_counts_go_with_their_zone_and_begin_with_zeros() -> None:
    settings = tracked(frigate={})
    gate = RecordedFormats(settings)
    said = gate.take()
    assert said["frigate/drive/car"] == said["frigate/drive/car/active"] == said["frigate/front/all/active"] == b"0"
    assert "frigate/yard/car/active" not in said
    gate.formats.configure(tracked({"zones": {"porch": AREAS["zones"]["porch"]}}, frigate={}), INFO)
    assert {topic for topic, payload in gate.take().items() if not payload} == {
        f"frigate/drive/{label}{end}" for label in (*LABELS, "all") for end in ("", "/active")
    }
    plain = settings.model_copy(update={"tracking": None})
    gate.formats.configure(plain, INFO)
    assert {topic for topic, payload in gate.take().items() if not payload} == {
        *(f"frigate/porch/{label}{end}" for label in (*LABELS, "all") for end in ("", "/active")),
        *(f"frigate/front/{label}/active" for label in (*LABELS, "all")),
    }

"""Objects of all cameras of a device: configurations, states that overtake frames, and what is retained."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from daemon.analysis import object_tracking
from daemon.analysis.object_tracking import ObjectTracking
from daemon.config.schema import Config
from daemon.records import CameraState, CameraStatus, EventType, FrameResult
from daemon.records.object_events import ObjectEvent
from daemon.records.objects import Direction, LeftReason, LineState, Occupancy, ZoneState
from engines.records import Detections
from tests.daemon.publishing import result

HALF = [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]
AREAS: dict[str, Any] = {
    "zones": {"left": {"polygon": HALF}},
    "lines": {"middle": {"points": [[0.5, 0], [0.5, 1]], "in": [0.9, 0.5]}},
}


ON: dict[str, Any] = {}
"""tracking, as it is unless given otherwise"""


def config(tracking: Any = ON, **camera: Any) -> Config:
    cameras = {"front": {"source": "rtsp://a/1", **camera}}
    models = {name: {"file": f"{name}.onnx"} for name in ("default", "other")}
    document = {"device": "a", "mqtt": {"host": "b"}, "models": models, "tracking": tracking, "cameras": cameras}
    return Config.model_validate(document)


def frame(number: int, x: float | None = 300.0, *, live: bool = True) -> FrameResult:
    """Frame `number` of ten a second, with a person at x."""
    boxes = np.array([] if x is None else [[x - 20, 200, x + 20, 320]], np.float32).reshape(-1, 4)
    found = Detections(boxes, np.full(len(boxes), 0.9, np.float32), np.zeros(len(boxes), np.int32))
    at = number / 10
    made = replace(result(number), detections=found, live=live)
    if live:
        return replace(made, captured_mono=at, captured_at=1e9 + at)
    return replace(made, stream_time=at, captured_at=1e9 + at / 9)


def looked(tracking: ObjectTracking, first: int, last: int, **more: Any) -> list[ObjectEvent]:
    return [event for number in range(first, last) for event in tracking.result(frame(number, **more))[0]]


def started(settings: Config | None = None) -> ObjectTracking:
    """One that has told of a person."""
    tracking = ObjectTracking({})
    assert tracking.configure(settings or config(**AREAS)) == []
    assert looked(tracking, 1, 6)[0].type is EventType.OBJECT_APPEARED
    return tracking


def test_identifiers_are_frigates_and_numbers_are_exact_in_json() -> None:
    tracking = ObjectTracking({})
    tracking.configure(config())
    found = [event.object for x in range(5) for event in looked(tracking, 200 * x, 200 * x + 30) if event.object]
    assert len({each.id for each in found}) == len({each.number for each in found}) == 5
    assert all(re.fullmatch(r"\d+\.\d{6}-[a-z0-9]{6}", each.id) for each in found)
    assert all(float(each.id.split("-")[0]) == pytest.approx(each.first_seen) for each in found)
    assert all(0 < each.number < 2**53 for each in found)


def status(state: CameraState) -> CameraStatus:
    return CameraStatus("front", state, None, "", since=time.time(), changed_at=time.time())


def test_a_state_that_overtakes_frames_ends_nothing_before_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_tracking, "_IN_FLIGHT", 0.05)
    tracking = started()
    tracking.camera_status(status(CameraState.OFFLINE))
    assert looked(tracking, 6, 20) == []
    assert tracking.look_away() == []
    due = tracking.due()
    assert due is not None
    time.sleep(max(0.0, due - time.monotonic()))
    events = tracking.look_away()
    assert [event.type for event in events] == [EventType.ZONE_LEFT, EventType.OBJECT_LEFT]
    assert events[-1].left_because is LeftReason.CAMERA_LOST
    assert events[-1].object is not None
    assert events[-1].object.sequence == 19
    assert tracking.due() is None
    assert looked(tracking, 20, 30) == [], "frames that come later still begin nobody"
    tracking.camera_status(status(CameraState.STREAMING))
    assert looked(tracking, 30, 40)[0].type is EventType.OBJECT_APPEARED


def test_a_camera_that_is_back_at_once_has_lost_nobody() -> None:
    tracking = started()
    tracking.camera_status(status(CameraState.STALLED))
    tracking.camera_status(status(CameraState.STREAMING))
    assert tracking.due() is None


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        (config(enabled=False), LeftReason.DISABLED),
        (config(None), LeftReason.RECONFIGURED),
        (config({"lost_after": 9}, **AREAS), LeftReason.RECONFIGURED),
        *(
            (config(**{key: value}, **AREAS), LeftReason.RECONFIGURED)
            for key, value in (
                ("crop", [0, 0, 1, 0.5]),
                ("rotate", 90),
                ("resize", [320, 240]),
                ("source", "rtsp://a/2"),
                ("model", "other"),
            )
        ),
        (config(objects={"person": {"min_height": 0.5}}, **AREAS), None),
        (config(labels=["car"]), LeftReason.RECONFIGURED),
        (config(), None),
        (config(fps=5, **AREAS), None),
    ],
)
def test_what_a_configuration_ends(after: Config, reason: LeftReason | None) -> None:
    events = started().configure(after)
    left = [event.left_because for event in events if event.type is EventType.OBJECT_LEFT]
    assert left == ([] if reason is None else [reason])
    zone_is_the_same = after.cameras["front"].zones == config(**AREAS).cameras["front"].zones
    assert (EventType.ZONE_LEFT in [event.type for event in events]) == (bool(left) or not zone_is_the_same)


def test_another_model_or_shape_of_frames_ends_everything() -> None:
    tracking = started()
    events, _ = tracking.result(replace(frame(6), labels=("car", "person")))
    assert [event.type for event in events][-1:] == [EventType.OBJECT_LEFT]


def test_a_file_that_is_read_fast_has_the_times_of_its_frames() -> None:
    """Seconds are those of the film, times those at which its frames were analysed."""
    tracking = ObjectTracking({})
    tracking.configure(config(zones={"left": {"polygon": HALF, "enter_after": 1}}))
    events = looked(tracking, 1, 30, live=False)
    events += [e for number in range(30, 60) for e in tracking.result(frame(number, 900.0, live=False))[0]]
    events += [e for number in range(60, 100) for e in tracking.result(frame(number, None, live=False))[0]]
    first = [event for event in events if event.zone]
    assert [event.type for event in first] == [EventType.ZONE_ENTERED, EventType.ZONE_LEFT]
    assert first[0].time == pytest.approx(1e9 + 0.1 / 9, abs=1e-3)
    assert first[1].time == pytest.approx(1e9 + 2.9 / 9, abs=0.02)
    assert first[1].seconds == pytest.approx(2.8, abs=0.2)


def test_a_recording_that_begins_again_ends_what_was_there() -> None:
    """In real time too, where the clock runs on: another pass, or the camera opened again, continues no object."""
    tracking = ObjectTracking({})
    tracking.configure(config(**AREAS))
    told = []
    for number, (at, passes, sequence) in enumerate([(i, i // 10, i) for i in range(1, 25)] + [(25, 2, 1)]):
        events, _ = tracking.result(replace(frame(at), passes=passes, sequence=sequence))
        told += [(number + 1, event.type, event.left_because) for event in events if event.zone is None]
    left = EventType.OBJECT_LEFT, LeftReason.UNSEEN
    appeared = EventType.OBJECT_APPEARED, None
    assert told == [(3, *appeared), (10, *left), (12, *appeared), (20, *left), (22, *appeared), (25, *left)]


def test_what_is_retained_begins_with_zeros_follows_and_is_cleared() -> None:
    tracking = ObjectTracking({})
    tracking.configure(config(**AREAS))
    assert tracking.areas() == [ZoneState("front", "left", Occupancy()), LineState("front", "middle", ({}, {}))]
    looked(tracking, 1, 6)
    one = {"person": 1}
    assert tracking.areas() == [ZoneState("front", "left", Occupancy(one, one))]
    tracking.configure(config())
    assert tracking.areas() == [ZoneState("front", "left", None), LineState("front", "middle", None)]


def test_changes_within_a_second_are_told_together_and_the_last_always() -> None:
    tracking = ObjectTracking({})
    tracking.configure(config(lines=AREAS["lines"], zones={"left": {**AREAS["zones"]["left"], "leave_after": 0}}))
    tracking.areas()
    for number in range(1, 80):
        tracking.result(frame(number, 600 + 100 * np.sin(number / 3)))
    told = tracking.areas()
    assert len(told) <= 4
    tracking.end()
    told += tracking.areas()
    assert [state for state in told if isinstance(state, ZoneState)][-1].occupancy == Occupancy()
    totals = [state for state in told if isinstance(state, LineState)][-1].totals
    assert totals is not None
    assert sum(sum(way.values()) for way in totals) >= 6


def test_totals_go_on_and_restart_on_request() -> None:
    tracking = ObjectTracking({"front": {("middle", Direction.IN, "person"): 7}})
    tracking.configure(config(**AREAS))
    (line,) = [state for state in tracking.areas() if isinstance(state, LineState)]
    assert line.totals == ({"person": 7}, {})
    events = [e for number in range(1, 40) for e in tracking.result(frame(number, 400 + 12.0 * number))[0]]
    assert [event.total for event in events if event.line] == [8]
    tracking.areas()
    tracking.reset_lines("other")
    assert tracking.areas() == []
    tracking.reset_lines(None)
    assert LineState("front", "middle", ({}, {}), begins=True) in tracking.areas()

"""Events from frames and states: what appears goes once, never without frames; and `mqtt.every`."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.analysis.events import EventDetector
from daemon.analysis.message_rate import MessageRateLimiter
from daemon.analysis.presence import Presence
from daemon.config.events import Events as Settings
from daemon.records import CameraState, EventType, Reason
from tests.conftest import wait_for
from tests.daemon.capturing import capturing
from tests.daemon.publishing import UNREACHABLE, result

CAMERAS = ("front", "yard")


def told(settings: Settings, frames: list[tuple[float, int]]) -> list[tuple[float, EventType, int | None]]:
    """Events of `person`; frames are (seconds, persons)."""
    presence = Presence("front", settings)
    return [
        (event.time, event.type, event.count)
        for now, count in frames
        for event in presence.update(now, now, {"person": count})
    ]


@pytest.mark.parametrize(
    ("frames", "events"),
    [
        ([(0, 1), (1, 1)], []),
        ([(0, 1), (1, 1), (2, 4)], [(2, EventType.APPEARED, 4)]),
        ([(0, 1), (1, 1), (2, 0), (3, 1), (4, 1)], []),
        ([(0, 1), (1, 1), (2, 1), (3, 0), (7, 0)], [(2, EventType.APPEARED, 1)]),
        ([(0, 1), (1, 1), (2, 1), (3, 0), (8, 0)], [(2, EventType.APPEARED, 1), (8, EventType.GONE, 0)]),
        ([(0, 1), (1, 1), (2, 1), (3, 0), (7, 1), (8, 0), (12, 0)], [(2, EventType.APPEARED, 1)]),
        ([(0, 1), (1, 1), (2, 1), (900, 0)], [(2, EventType.APPEARED, 1)]),
    ],
)
def test_presence(frames: list[tuple[float, int]], events: list[tuple[float, EventType, int]]) -> None:
    assert told(Settings(), frames) == events


def test_other_labels_are_ignored() -> None:
    assert told(Settings(labels=("car",), appear_frames=1), [(0, 1)]) == []


@given(
    st.lists(st.tuples(st.floats(0.01, 3), st.integers(0, 2))),
    st.integers(1, 4),
    st.floats(0.1, 5),
)
def test_appeared_and_gone_alternate(steps: list[tuple[float, int]], frames: int, after: float) -> None:
    now, seen = 0.0, []
    for step, count in steps:
        now += step
        seen.append((now, count))
    events = told(Settings(appear_frames=frames, gone_after=after), seen)
    expected = [EventType.APPEARED, EventType.GONE] * len(events)
    assert [kind for _, kind, _ in events] == expected[: len(events)]
    counts = dict(seen)
    for at, kind, told_count in events:
        assert counts[at] == told_count
        if kind is EventType.GONE:
            assert not any(n for seen_at, n in seen if at - after <= seen_at <= at)


def detector(settings: Settings) -> EventDetector:
    made = EventDetector(settings)
    assert made.configure(settings, CAMERAS, CAMERAS) == []
    return made


def test_each_state_is_told_once_and_classes_by_name() -> None:
    made, frame = detector(Settings(appear_frames=1)), result(count=4)
    changed, at = UNREACHABLE.changed_at, frame.captured_at
    states = [
        UNREACHABLE,
        replace(UNREACHABLE, detail="other words"),
        replace(UNREACHABLE, state=CameraState.STREAMING, reason=None, changed_at=changed + 50),
    ]
    events = [event for status in states for event in made.camera_status(status)] + made.result(frame)
    assert [(e.camera, e.type, e.time, e.label, e.count, e.state) for e in events] == [
        ("yard", EventType.CAMERA_STATE, changed, None, None, CameraState.OFFLINE),
        ("yard", EventType.CAMERA_STATE, changed + 50, None, None, CameraState.STREAMING),
        ("front", EventType.APPEARED, at, "person", 2, None),
        ("front", EventType.APPEARED, at, "bicycle", 1, None),
        ("front", EventType.APPEARED, at, "car", 1, None),
    ]
    assert len({e.id for e in events}) == len(events)


def test_a_changed_reason_has_its_own_event_time(tmp_path: Path) -> None:
    """A camera that has been offline for long and is offline for another reason now."""
    source = tmp_path / "film.avi"
    with capturing(source) as captured:
        missing = captured.wait_for_state(CameraState.OFFLINE, Reason.NOT_FOUND)
        wait_for(lambda: time.time() > missing.changed_at, "the clock to go on")
        source.write_bytes(b"this is no film")
        wait_for(lambda: captured.statuses[-1].reason is not Reason.NOT_FOUND, "the other reason")
    damaged, made = captured.statuses[-1], detector(Settings())
    assert (damaged.state, damaged.since) == (CameraState.OFFLINE, missing.since)
    events = [event for status in captured.statuses for event in made.camera_status(status)]
    assert [(e.reason, e.time) for e in events[-2:]] == [
        (Reason.NOT_FOUND, missing.changed_at),
        (damaged.reason, damaged.changed_at),
    ]
    assert damaged.changed_at > missing.changed_at


@pytest.mark.parametrize(
    ("settings", "cameras", "enabled", "gone"),
    [
        (Settings(appear_frames=1, snapshot="plain"), CAMERAS, CAMERAS, False),
        (Settings(appear_frames=1, gone_after=9), CAMERAS, CAMERAS, True),
        (Settings(appear_frames=1), CAMERAS, ["yard"], True),
        (Settings(appear_frames=1), ["yard"], ["yard"], True),
    ],
)
def test_reconfigured_camera_emits_gone(
    settings: Settings, cameras: Collection[str], enabled: Collection[str], gone: bool
) -> None:
    made, frame = detector(Settings(appear_frames=1)), result(count=1)
    assert [e.type for e in made.result(frame)] == [EventType.APPEARED]
    assert [e.type for e in made.configure(settings, cameras, enabled)] == [EventType.GONE] * gone
    made.configure(settings, CAMERAS, CAMERAS)
    assert [e.type for e in made.result(frame)] == [EventType.APPEARED] * gone


def test_mqtt_every() -> None:
    frames = [replace(result(n, count=n // 3), captured_mono=n * 0.1) for n in range(12)]

    def published(every: str) -> list[int]:
        limiter = MessageRateLimiter(every)
        return [frame.sequence for frame in frames if limiter.allows(frame)]

    assert published("frame") == list(range(12))
    assert published("change") == [0, 3, 6, 9]
    assert published("0.45") == [0, 5, 10]


@pytest.mark.parametrize("every", ["change", "3600"])
def test_a_returning_camera_publishes_its_first_frame(every: str) -> None:
    limiter, frames = MessageRateLimiter(every), [result(1), result(1, camera="yard")]
    assert [limiter.allows(frame) for frame in frames] == [True, True]
    limiter.keep(["yard"])
    limiter.keep(["yard", "front"])
    assert [limiter.allows(frame) for frame in frames] == [True, False]

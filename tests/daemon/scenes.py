"""Scenes with objects that are moved by hand, and what a subscriber may rely on of the events told of them."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from daemon.analysis.areas import Totals
from daemon.analysis.geometry import View
from daemon.analysis.scene import Scene, SceneSettings, Seen
from daemon.config.tracking import Line, ObjectFilter, Tracking, Zone
from daemon.records import EventType
from daemon.records.object_events import ObjectEvent

LABELS = ["person", "car", "truck"]
WIDTH, HEIGHT = 1000, 500
START = 1_800_000_000.0
"""UTC of the time 0"""
Shown = tuple[float, float, str, float]
"""middle x, lower edge, label and score; a box is 40 wide and 100 high"""


def settings(
    *,
    zones: Mapping[str, Any] | None = None,
    lines: Mapping[str, Any] | None = None,
    filters: Mapping[str, Any] | None = None,
    wanted: tuple[str, ...] | None = None,
    **tracking: Any,
) -> SceneSettings:
    """As a configuration would give them."""
    return SceneSettings(
        Tracking(**tracking),
        0.5,
        wanted,
        {name: ObjectFilter.model_validate(each) for name, each in (filters or {}).items()},
        {name: Zone.model_validate(each) for name, each in (zones or {}).items()},
        {name: Line.model_validate(each) for name, each in (lines or {}).items()},
    )


def scene(wanted: SceneSettings, totals: Totals | None = None) -> Scene:
    """With identifiers that count from 1."""
    numbers = itertools.count(1)
    view = View(WIDTH, HEIGHT)
    return Scene("front", wanted, LABELS, view, lambda at: (f"{at:.6f}-{(number := next(numbers))}", number), totals)


def show(where: Scene, at: float, shown: Iterable[Shown], start: float = START) -> Seen:
    """One frame, `at` seconds after `start` (UTC), with these objects."""
    rows = sorted(shown, key=lambda each: -each[3])
    boxes = np.array([[x - 20, y - 100, x + 20, y] for x, y, _, _ in rows]).reshape(-1, 4)
    scores = np.array([score for *_, score in rows])
    labels = np.array([LABELS.index(label) for _, _, label, _ in rows], np.int64)
    return where.see(boxes, scores, labels, at, start + at, round(at * 100))


def film(where: Scene, frames: Iterable[tuple[float, Sequence[Shown]]]) -> list[ObjectEvent]:
    """The events of these frames: times in seconds, and what is shown then."""
    return [event for at, shown in frames for event in show(where, at, shown).events]


def walk(
    begin: tuple[float, float], end: tuple[float, float], start: float, stop: float, fps: float = 10.0
) -> list[tuple[float, list[Shown]]]:
    """Frames in which one person walks evenly from one point to another."""
    count = round((stop - start) * fps)
    steps = np.linspace(begin, end, count + 1)
    return [(start + i / fps, [(float(x), float(y), "person", 0.9)]) for i, (x, y) in enumerate(steps)]


def kinds(events: Iterable[ObjectEvent]) -> list[str]:
    """Types without their common beginning, zones and lines with them, in the order told."""
    return [event.type.value.removeprefix("object-") for event in events]


def check_promises(events: Sequence[ObjectEvent], *, ended: bool) -> None:
    """Raises AssertionError where the events of one camera are not what a subscriber relies on."""
    by_object: dict[str, list[ObjectEvent]] = defaultdict(list)
    inside: Counter[tuple[str, str]] = Counter()
    totals: Counter[tuple[str, str, str]] = Counter()
    crowded: set[str | None] = set()
    for event in events:
        if event.object is not None:
            by_object[event.object.id].append(event)
        if event.type in (EventType.ZONE_ENTERED, EventType.ZONE_LEFT):
            assert event.zone is not None
            assert event.label is not None
            inside[event.zone, event.label] += 1 if event.type is EventType.ZONE_ENTERED else -1
            assert event.count == inside[event.zone, event.label] >= 0
        if event.type is EventType.ZONE_CROWDED:
            assert event.zone not in crowded
            crowded.add(event.zone)
        if event.type is EventType.ZONE_CLEARED:
            crowded.remove(event.zone)
        if event.type is EventType.LINE_CROSSED:
            assert event.line is not None
            assert event.direction is not None
            assert event.label is not None
            totals[event.line, event.direction, event.label] += 1
            assert event.total == totals[event.line, event.direction, event.label]
    for told in by_object.values():
        _check_object(told, ended)
    if ended:
        assert not +inside
        assert not crowded


def _check_object(told: Sequence[ObjectEvent], ended: bool) -> None:
    types = [event.type for event in told]
    assert types.count(EventType.OBJECT_APPEARED) == 1
    assert types[0] is EventType.OBJECT_APPEARED
    assert len({event.label for event in told}) == 1
    if ended:
        assert types[-1] is EventType.OBJECT_LEFT
    assert types.count(EventType.OBJECT_LEFT) <= 1
    assert EventType.OBJECT_LEFT not in types[:-1]
    turns = [kind for kind in types if kind in (EventType.OBJECT_STATIONARY, EventType.OBJECT_MOVING)]
    assert all(a is not b for a, b in itertools.pairwise(turns))
    stays: dict[str, list[ObjectEvent]] = defaultdict(list)
    for event in told:
        if event.zone is not None:
            stays[event.zone].append(event)
    for changes in stays.values():
        edges = [event.type for event in changes if event.type is not EventType.ZONE_DWELL]
        assert edges == [EventType.ZONE_ENTERED, EventType.ZONE_LEFT] * (len(edges) // 2) + (
            [EventType.ZONE_ENTERED] * (len(edges) % 2)
        )
        assert not ended or len(edges) % 2 == 0
        dwelt: list[float] = []
        for event in changes:
            if event.type is not EventType.ZONE_DWELL:
                dwelt = []
            else:
                assert event.seconds is not None
                assert event.seconds not in dwelt
                dwelt.append(event.seconds)

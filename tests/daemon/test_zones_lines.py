"""Zones and lines: who is in, who has crossed, and nothing that only looks like it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from daemon.analysis.geometry import View
from daemon.analysis.scene import Scene
from daemon.analysis.zones import ZoneShapes
from daemon.config.tracking import Zone
from daemon.records.object_events import ObjectEvent
from daemon.records.objects import LeftReason
from tests.daemon.scenes import START, Shown, film, kinds, scene, settings, walk

PORCH = {"polygon": [[0.4, 0.2], [0.6, 0.2], [0.6, 1.0], [0.4, 1.0]]}
"""400 to 600 pixels, across the way"""
GATE = {"points": [[0.5, 0.4], [0.5, 1.0]], "in": [0.9, 0.7]}


def places(*points: tuple[float, float], fps: float = 10.0) -> list[tuple[float, list[Shown]]]:
    """A person who is at these points, one a frame."""
    return [(i / fps, [(x, y, "person", 0.9)]) for i, (x, y) in enumerate(points)]


def told(events: list[ObjectEvent]) -> list[tuple[str, float]]:
    """Of zones and lines: what, and when."""
    return [(e.type.value, round(e.time - START, 2)) for e in events if e.zone or e.line]


def porch(**more: Any) -> dict[str, Any]:
    return {"porch": {**PORCH, **more}}


def test_times_are_of_the_first_sighting_inside_and_outside() -> None:
    events = film(scene(settings(zones=porch(dwell=[0.5, 1, 60]))), walk((200, 400), (800, 400), 0, 6))
    assert told(events) == [("zone-entered", 2.0), ("zone-dwell", 2.5), ("zone-dwell", 3.0), ("zone-left", 4.0)]
    assert events[-1].seconds == pytest.approx(2.0)
    assert [e.count for e in events if e.type.value in ("zone-entered", "zone-left")] == [1, 0]
    assert events[-1].object is not None
    assert (events[-1].object.zones, events[-1].object.visited) == ((), ("porch",))


@pytest.mark.parametrize("fps", [5, 10, 30])
def test_a_box_that_jumps_in_or_out_for_a_moment_changes_nothing(fps: float) -> None:
    outside = [(300.0, 400.0)] * 20
    once = [*outside, (410.0, 400.0), *outside]
    assert told(film(scene(settings(zones=porch())), places(*once, fps=fps))) == []
    inside = [(410.0, 400.0)] * 20
    once = [*inside, (390.0, 400.0), (390.0, 400.0), *inside]
    assert [what for what, _ in told(film(scene(settings(zones=porch())), places(*once, fps=fps)))] == ["zone-entered"]


def test_who_appears_inside_enters_at_once_and_from_the_first_sighting() -> None:
    events = film(scene(settings(zones=porch(), confirm_frames=5)), places(*[(500.0, 400.0)] * 6))
    assert kinds(events) == ["appeared", "zone-entered"]
    assert told(events) == [("zone-entered", 0.0)]


def test_who_is_lost_inside_leaves_when_last_seen() -> None:
    frames = walk((300, 400), (500, 400), 0, 2)
    events = film(scene(settings(zones=porch())), [*frames, *[(2.1 + i / 10, []) for i in range(30)]])
    assert kinds(events) == ["appeared", "zone-entered", "zone-left", "left"]
    assert told(events)[-1] == ("zone-left", 2.0)
    assert events[-1].object is not None
    assert events[-1].object.visited == ("porch",)


def test_who_is_lost_just_outside_left_when_it_was_first_outside() -> None:
    frames = [*walk((300, 400), (500, 400), 0, 2), *walk((610, 400), (650, 400), 3, 3.4)]
    events = film(scene(settings(zones=porch(leave_after=1))), [*frames, *[(3.5 + i / 10, []) for i in range(30)]])
    assert told(events)[-1] == ("zone-left", 3.0)


def test_time_that_it_is_unseen_counts_where_it_comes_back() -> None:
    frames = [(i / 10, [(500.0, 400.0, "person", 0.9)] if not 10 < i < 25 else []) for i in range(41)]
    events = film(scene(settings(zones=porch(dwell=[2, 3]))), frames)
    assert told(events) == [("zone-entered", 0.0), ("zone-dwell", 2.0), ("zone-dwell", 3.0)]
    assert told(film(scene(settings(zones=porch(dwell=2))), frames[:25])) == [("zone-entered", 0.0)]


def test_only_what_counts_in_a_zone() -> None:
    frames = walk((200, 400), (800, 400), 0, 6)
    for zone in ({"labels": ["car"]}, {"min_score": 0.95}, {"min_height": 0.3}, {"max_ratio": 0.2}):
        assert told(film(scene(settings(zones=porch(**zone))), frames)) == []
    assert told(film(scene(settings(zones=porch(labels=["person"], min_score=0.85))), frames))


def test_the_anchor_is_kept_inside_the_picture() -> None:
    below: list[tuple[float, list[Shown]]] = [(i / 10, [(500.0, 540.0, "person", 0.9)]) for i in range(10)]
    assert told(film(scene(settings(zones=porch())), below)) == [("zone-entered", 0.0)]
    high = {"polygon": [[0.4, 0.0], [0.6, 0.0], [0.6, 0.75], [0.4, 0.75]]}  # its feet are at 400 of 500
    frames = walk((200, 400), (800, 400), 0, 6)
    assert told(film(scene(settings(zones={"high": high})), frames)) == []
    assert told(film(scene(settings(zones={"high": {**high, "anchor": "centre"}})), frames))


def test_a_zone_is_crowded_and_cleared_after_three_seconds() -> None:
    two: list[Shown] = [(450.0, 400.0, "person", 0.9), (550.0, 400.0, "person", 0.9)]
    frames = [(i / 10, two if 20 <= i < 80 else two[:1]) for i in range(220)]
    events = [e for e in film(scene(settings(zones=porch(max_count=1))), frames) if e.object is None]
    assert [(e.type.value, e.zone, e.count) for e in events] == [
        ("zone-crowded", "porch", 2),
        ("zone-cleared", "porch", 1),
    ]
    assert events[0].time - START == pytest.approx(2.2 + 3, abs=0.15)


@pytest.mark.parametrize(
    "end",
    [
        lambda where: where.end(LeftReason.DISABLED, START + 9),
        lambda where: where.begin_again(START + 9),
        lambda where: where.reconfigure(settings(zones=porch(max_count=1, enter_after=0.3)), START + 9),
        lambda where: where.reconfigure(settings(), START + 9),
    ],
    ids=["the camera ends", "its recording begins again", "the zone is another", "the zone is removed"],
)
def test_a_crowded_zone_that_ends_is_cleared_once(end: Callable[[Scene], list[ObjectEvent]]) -> None:
    two: list[Shown] = [(450.0, 400.0, "person", 0.9), (550.0, 400.0, "person", 0.9)]
    where = scene(settings(zones=porch(max_count=1)))
    film(where, [(i / 10, two) for i in range(80)])
    events = [*end(where), *film(where, [(9 + i / 10, []) for i in range(80)])]
    of_zone = [(e.type.value, e.zone, e.count) for e in events if e.object is None]
    assert of_zone == [("zone-cleared", "porch", 0)]


def test_a_line_counts_each_way_and_tells_totals() -> None:
    where = scene(settings(lines={"gate": GATE}))
    frames = [
        *walk((300, 400), (700, 400), 0, 4),
        *walk((690, 400), (300, 400), 4.1, 8),
        *walk((310, 400), (700, 400), 8.1, 12),
    ]
    events = [e for e in film(where, frames) if e.line]
    assert [(e.direction and e.direction.value, e.total, e.uncertain) for e in events] == [
        ("in", 1, False),
        ("out", 1, False),
        ("in", 2, False),
    ]


@pytest.mark.parametrize(
    ("points", "crossings"),
    [
        ([(300 + 10 * i, 400) for i in range(19)] + [(489 + 8 * (i % 2) * 2, 400) for i in range(40)], 0),
        ([(495, 400)] * 10 + [(495 + 10 * i, 400) for i in range(20)], 0),
        ([(300 + 20 * i, 180) for i in range(20)], 0),
        ([(300 + 20 * i, 400) for i in range(20)], 1),
    ],
    ids=["to and fro on the line", "appears on the line", "around its end", "across"],
)
def test_what_counts_as_a_crossing(points: list[tuple[float, float]], crossings: int) -> None:
    events = film(scene(settings(lines={"gate": GATE})), places(*points))
    assert len(told(events)) == crossings
    assert kinds(events)[0] == "appeared"


def test_who_crosses_before_it_is_certain_is_told_of_then() -> None:
    frames = places(*[(440.0 + 30 * i, 400.0) for i in range(8)])
    events = film(scene(settings(lines={"gate": GATE}, confirm_frames=6)), frames)
    assert kinds(events) == ["appeared", "line-crossed"]
    assert events[1].time < events[0].time


@pytest.mark.parametrize(("frames", "uncertain"), [(6, False), (13, True)])
def test_a_crossing_that_nobody_saw_is_uncertain(frames: int, uncertain: bool) -> None:
    """Unseen for more than a second on the way over the line."""
    back = 2 + frames / 10
    way = [
        *walk((300, 400), (480, 400), 0, 2),
        *[(2 + i / 10, []) for i in range(1, frames)],
        *walk((480 + 10 * frames, 400), (700, 400), back, back + 0.6),
    ]
    events = [e for e in film(scene(settings(lines={"gate": GATE})), way) if e.line]
    assert [(e.direction and e.direction.value, e.uncertain) for e in events] == [("in", uncertain)]


def test_a_reload_leaves_and_enters_only_what_has_changed() -> None:
    side = {"polygon": [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]}
    where = scene(settings(zones={"porch": PORCH, "side": side}))
    film(where, places(*[(500.0, 400.0)] * 10))
    wider = {"polygon": [[0.3, 0.2], [0.6, 0.2], [0.6, 1.0], [0.3, 1.0]]}
    events = where.reconfigure(settings(zones={"side": side, "porch": wider}), START + 1)
    assert [(e.type.value, e.zone) for e in events] == [("zone-left", "porch")]
    assert where.occupancy()["side"].total == 1
    events = film(where, [(1 + at, shown) for at, shown in places(*[(500.0, 400.0)] * 10)])
    assert [(e.type.value, e.zone, e.count) for e in events] == [("zone-entered", "porch", 1)]
    events = where.reconfigure(settings(wanted=("car",)), START + 2)
    assert kinds(events) == ["zone-left", "zone-left", "left"]


def test_inside_is_what_a_picture_of_the_polygon_shows() -> None:
    """Against the rule of crossings written out, over a grid, for zones that are not convex, turned and cropped."""
    shape = [[0.1, 0.1], [0.9, 0.2], [0.5, 0.5], [0.8, 0.9], [0.2, 0.8]]
    zones = {"a": Zone.model_validate({"polygon": shape}), "b": Zone.model_validate({"polygon": shape[::-1]})}
    view = View(640, 480, (0.1, 0.2, 0.9, 1.0))
    grid = np.stack(np.meshgrid(np.arange(5.37, 640, 20), np.arange(5.73, 480, 20)), axis=-1).reshape(-1, 2)
    found = ZoneShapes(zones, view).inside(grid[:, [0, 1, 1]])
    corners = [((x - 0.1) / 0.8 * 640, (y - 0.2) / 0.8 * 480) for x, y in shape]
    for (x, y), mask in zip(grid.tolist(), found, strict=True):
        odd = False
        for (x1, y1), (x2, y2) in zip(corners, corners[1:] + corners[:1], strict=True):
            if (y1 > y) != (y2 > y) and x < (x2 - x1) * (y - y1) / (y2 - y1) + x1:
                odd = not odd
        assert mask == (3 if odd else 0)
    assert set(found) == {0, 3}

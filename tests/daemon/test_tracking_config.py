"""Zones, lines and tracking as configured: what is refused, and what is taken for what."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from daemon.cli.check import hidden_areas
from daemon.config.difference import difference
from daemon.config.document import dotted
from daemon.config.load import load
from daemon.config.schema import Config
from daemon.config.tracking import Line, ObjectFilter, Tracking, Zone, meet
from daemon.errors import ConfigError, UsageError
from daemon.inference.model_config import check_labels

SQUARE = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]]


@pytest.mark.parametrize(
    ("zone", "part"),
    [
        ({"polygon": [[0.1, 0.1], [0.9, 0.9], [0.9, 0.1], [0.1, 0.9]]}, "crosses itself"),
        ({"polygon": SQUARE[:2]}, "three points"),
        ({"polygon": [[0.1, 0.1], [0.5, 0.5], [0.9, 0.9]]}, "holds nothing"),
        ({"polygon": [SQUARE[0], *SQUARE]}, "twice in a row"),
        ({"polygon": [[0.1, 0.1], [1.1, 0.1], [0.9, 0.9]]}, "less than or equal to 1"),
        ({"polygon": [[i / 40, (i % 2) / 2] for i in range(33)]}, "32 points"),
        ({"polygon": SQUARE, "dwell": [10, 5]}, "rise"),
        ({"polygon": SQUARE, "dwell": 0}, "greater than 0"),
        ({"polygon": SQUARE, "min_area": 0.5, "max_area": 0.1}, "leaves nothing"),
        ({"polygon": SQUARE, "anchor": "top"}, "bottom"),
    ],
)
def test_zones_that_are_refused(zone: dict[str, Any], part: str) -> None:
    with pytest.raises(ValidationError, match=part):
        Zone.model_validate(zone)


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ({"points": [[0.1, 0.1], [0.9, 0.9]], "in": [0.5, 0.5]}, "on the line"),
        ({"points": [[0.1, 0.1], [0.1, 0.1]], "in": [0.5, 0.5]}, "two different points"),
        ({"points": [[0.1, 0.1], [0.5, 0.1], [0.9, 0.1]], "in": [0.5, 0.5]}, "two different points"),
        ({"points": [[0.1, 0.1], [0.9, 0.9]]}, "in"),
    ],
)
def test_lines_that_are_refused(line: dict[str, Any], part: str) -> None:
    with pytest.raises(ValidationError, match=part):
        Line.model_validate(line)


CAMERA = """\
device: gate
mqtt: {host: localhost}
cameras:
  front:
    source: "0"
"""


@pytest.mark.parametrize(
    ("more", "line", "path", "part"),
    [
        ("    zones: {porch: {polygon: [[0, 0], [1, 0], [1, 1]]}}\n", 6, "cameras.front.zones", "need `tracking`"),
        ("    lines:\n      gate: {points: [[0, 0], [1, 0]]}\n", 7, "cameras.front.lines.gate.in", "is required"),
        (
            "    lines:\n      gate: {points: [[0, 0], [1, 0]], in: [0, 0]}\n",
            7,
            "cameras.front.lines.gate",
            "on the line",
        ),
        (
            "    zones:\n      front: {polygon: [[0, 0], [1, 0], [1, 1]]}\n",
            7,
            "cameras.front.zones.front",
            "name of a camera",
        ),
        ("    objects: {person: {min_score: 2}}\n", 6, "cameras.front.objects.person.min_score", "from 0 to 1, got 2"),
        ("    zones:\n      a b: {polygon: [[0, 0], [1, 0], [1, 1]]}\n", 7, "cameras.front.zones.'a b'", "letters"),
        (
            "    zones: {a: {polygon: [[0, 0], [1, 0], [1, 1]], dwell: ten}}\n",
            6,
            "cameras.front.zones.a.dwell[0]",
            "positive",
        ),
        ("tracking: {lost_after: 0}\n", 6, "tracking.lost_after", "positive"),
        ("events: {snapshot: best}\n", 6, "events.snapshot", "need `tracking`"),
        ("    tracking: null\nevents: {snapshot: best}\n", 7, "events.snapshot", "need `tracking`"),
    ],
)
def test_mistakes_are_told_with_their_line(tmp_path: Path, more: str, line: int, path: str, part: str) -> None:
    file = tmp_path / "cameras.yaml"
    file.write_text(CAMERA + more)
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    problems = [
        problem for problem in str(caught.value).splitlines() if "need `tracking`" not in problem or "need" in part
    ]
    assert len(problems) == 1
    assert problems[0].startswith(f"{file}:{line}: {path}: ")
    assert part in problems[0]


def test_a_single_dwell_time_needs_no_list(tmp_path: Path) -> None:
    file = tmp_path / "cameras.yaml"
    polygon = "polygon: [[0, 0], [1, 0], [1, 1]]"
    zones = f"    zones: {{a: {{{polygon}, dwell: 60}}, b: {{{polygon}, dwell: [5, 6]}}}}"
    file.write_text(f"{CAMERA}{zones}\ntracking: {{}}\n")
    assert [zone.dwell for zone in load(file, {}).cameras["front"].zones.values()] == [(60,), (5, 6)]


def test_too_many_zones_and_lines_are_refused() -> None:
    zones = {f"z{i}": {"polygon": SQUARE} for i in range(33)}
    with pytest.raises(ValidationError, match="more than 32"):
        configured({}, {"zones": zones})


def test_a_camera_says_what_is_different_or_switches_off() -> None:
    assert configured(None, {}).tracking_of("front") is None
    assert configured({}, {}).tracking_of("front") == Tracking()
    assert configured({"lost_after": 5}, {"tracking": None}).tracking_of("front") is None
    both = configured({"lost_after": 5}, {"tracking": {"confirm_frames": 2}}).tracking_of("front")
    assert both == Tracking(lost_after=5, confirm_frames=2)
    assert configured(None, {"tracking": {"confirm_frames": 2}}).tracking_of("front") == Tracking(confirm_frames=2)
    zones = {"zones": {"porch": {"polygon": SQUARE}}}
    assert configured(None, {"tracking": None, **zones}).tracking_of("front") is None


def configured(tracking: Any, camera: dict[str, Any]) -> Config:
    cameras = {"front": {"source": "0", **camera}}
    return Config.model_validate({"device": "a", "mqtt": {"host": "b"}, "tracking": tracking, "cameras": cameras})


def test_a_reload_changes_tracking_without_reconnecting_a_camera() -> None:
    for before, after in (
        (configured(None, {}), configured({}, {})),
        (configured({}, {}), configured({"lost_after": 5}, {})),
        (configured({}, {}), configured({}, {"zones": {"porch": {"polygon": SQUARE}}})),
        (configured({}, {}), configured({}, {"objects": {"person": {"min_score": 0.5}}})),
    ):
        found = difference(before, after)
        assert (found.changed, found.reopened, found.fixed) == (("front",), (), ())
    same = configured({}, {"tracking": {"lost_after": 2}})
    assert not difference(configured({}, {"tracking": {"lost_after": 2}}), same)


def test_what_a_crop_hides_is_told() -> None:
    left, right = [[0, 0], [0.4, 0], [0.4, 1]], [[0.4, 0], [0.6, 0], [0.6, 1]]
    line = {"points": [[0.1, 0.1], [0.4, 0.9]], "in": [0, 1]}
    camera = {"crop": [0.5, 0, 1, 1], "zones": {"a": {"polygon": left}, "b": {"polygon": right}}, "lines": {"c": line}}
    assert [dotted(mistake.path) for mistake in hidden_areas(configured({}, camera))] == [
        "cameras.front.zones.a",
        "cameras.front.lines.c",
    ]
    assert not list(hidden_areas(configured({}, {**camera, "crop": None})))


@pytest.mark.parametrize(
    ("camera", "key"),
    [
        ({"objects": {"dragon": {}}}, "objects.dragon"),
        ({"zones": {"porch": {"polygon": SQUARE, "labels": ["dragon"]}}}, "zones.porch.labels[0]"),
        ({"lines": {"gate": {"points": [[0, 0], [1, 0]], "in": [0, 1], "labels": ["dragon"]}}}, "lines.gate.labels[0]"),
    ],
)
def test_classes_that_the_model_does_not_have_are_refused(camera: dict[str, Any], key: str) -> None:
    config = configured({}, camera)
    check_labels(config, {"default": ["dragon"]})
    with pytest.raises(UsageError, match=re.escape(f"cameras.front.{key}: model default has no class 'dragon'")):
        check_labels(config, {"default": ["person"]})


def test_what_is_not_given() -> None:
    zone = Zone.model_validate({"polygon": SQUARE, "dwell": 10})
    assert (zone.dwell, zone.enter_after, zone.leave_after, zone.anchor) == ((10.0,), 0.2, 0.5, "bottom")
    assert Tracking().stationary is not None
    assert Tracking.model_validate({"stationary": None}).stationary is None
    assert ObjectFilter().max_ratio is None


@given(st.lists(st.tuples(*[st.integers(0, 8)] * 2), min_size=4, max_size=4, unique=True))
def test_two_ways_meet_as_their_points_say(points: list[tuple[int, int]]) -> None:
    """Against a search of the whole way in exact numbers: on a small grid two segments that meet share a solution."""
    a, b, c, d = [(float(x), float(y)) for x, y in points]
    assert meet(a, b, c, d) == meet(c, d, a, b) == meet(b, a, d, c)
    if meet(a, b, c, d):
        lows = [max(min(a[i], b[i]), min(c[i], d[i])) for i in (0, 1)]
        highs = [min(max(a[i], b[i]), max(c[i], d[i])) for i in (0, 1)]
        assert all(low <= high for low, high in zip(lows, highs, strict=True))

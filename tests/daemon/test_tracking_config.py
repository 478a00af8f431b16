"""Zones, lines and tracking as configured: what is refused, and what is taken for what."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from daemon.config.tracking import Line, ObjectFilter, Tracking, Zone, meet

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

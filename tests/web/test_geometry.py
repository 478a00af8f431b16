"""The daemon's geometry on the test vectors that the page's geometry is tested with too (tests/web/page)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from daemon.analysis.geometry import View, anchors
from daemon.analysis.lines import LineShapes, Sides
from daemon.analysis.zones import ZoneShapes
from daemon.config.tracking import Line, Zone
from daemon.records.objects import Direction

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "geometry.json").read_text())
SIZE = (1000, 500)


def cases(kind: str) -> pytest.MarkDecorator:
    """A parameter for each vector of a kind, by its name."""
    return pytest.mark.parametrize("case", [pytest.param(each, id=each["name"]) for each in VECTORS[kind]])


def view_of(case: dict[str, Any]) -> View:
    crop = case["view"]["crop"] or (0.0, 0.0, 1.0, 1.0)
    return View(case["view"]["width"], case["view"]["height"], tuple(crop))


@cases("inside")
def test_inside(case: dict[str, Any]) -> None:
    view = View(*SIZE)
    zone = Zone.model_validate({"polygon": case["polygon"]})
    x, y = view.pixels([case["point"]])[0]
    assert ZoneShapes({"zone": zone}, view).inside(np.array([[x, y, y]])) == [int(case["inside"])]


@cases("anchors")
def test_anchors(case: dict[str, Any]) -> None:
    view = view_of(case)
    x, bottom, centre = anchors(np.array([case["box"]], float), view)[0]
    expected = view.pixels([case["point"]])[0]
    assert (x, bottom if case["anchor"] == "bottom" else centre) == pytest.approx(tuple(expected), abs=1e-6)


@cases("polygons")
def test_polygons(case: dict[str, Any]) -> None:
    if case["refused"]:
        with pytest.raises(ValidationError):
            Zone.model_validate({"polygon": case["points"]})
    else:
        Zone.model_validate({"polygon": case["points"]})


@cases("crossings")
def test_crossings(case: dict[str, Any]) -> None:
    view = view_of(case)
    line = Line.model_validate({"points": case["line"], "in": case["in"]})
    shapes, sides = LineShapes({"line": line}, view), Sides(1)
    height = float(case["height"])
    found = []
    for at, (x, y) in enumerate(view.pixels(case["way"]).tolist()):
        anchor = (x, y, y - height / 2)
        [side], [number] = shapes.sides(np.array([anchor]), np.array([height]))
        found += [crossing.direction for crossing in sides.see(shapes, side, number, anchor, 0.0, float(at))]
    assert (found.count(Direction.IN), found.count(Direction.OUT)) == (case["in_count"], case["out_count"])

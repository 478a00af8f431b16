"""Lines and zones laid over any sequence, and what happens at them by the paths of its truth."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from daemon.analysis.geometry import View, anchors
from daemon.analysis.lines import LineShapes, Sides
from daemon.analysis.zones import StayChange, Stays, ZoneShapes
from daemon.config.tracking import Line, Zone
from tests.benchmarks.mot_scores import Told
from tests.benchmarks.mot_sequences import Floats, Sequence

_SETTLED = {"enter_after": 0.5, "leave_after": 0.5}
"""seconds in or out of a zone from which it counts, in the truth"""
_SMOOTH = 0.2
"""seconds before and after, over which a path of the truth is smoothed"""

LINES = {
    name: Line.model_validate({"points": points, "in": inside})
    for name, points, inside in (
        ("v3", [[0.3, 0], [0.3, 1]], [0.9, 0.5]),
        ("v5", [[0.5, 0], [0.5, 1]], [0.9, 0.5]),
        ("v7", [[0.7, 0], [0.7, 1]], [0.9, 0.5]),
        ("h6", [[0, 0.6], [1, 0.6]], [0.5, 0.9]),
        ("part", [[0.5, 0.4], [0.5, 0.8]], [0.9, 0.5]),
        ("diag", [[0.2, 0.9], [0.8, 0.4]], [0.9, 0.9]),
    )
}
_POLYGONS = {
    "left": [[0.1, 0.4], [0.45, 0.4], [0.45, 0.95], [0.1, 0.95]],
    "right": [[0.55, 0.4], [0.9, 0.4], [0.9, 0.95], [0.55, 0.95]],
    "mid": [[0.35, 0.2], [0.65, 0.2], [0.65, 0.9], [0.35, 0.9]],
}
ZONES = {name: Zone.model_validate({"polygon": polygon}) for name, polygon in _POLYGONS.items()}
_TRUE_ZONES = [Zone.model_validate({"polygon": polygon, **_SETTLED}) for polygon in _POLYGONS.values()]


def true_crossings_and_stays(sequence: Sequence) -> tuple[list[Told], list[Told]]:
    """What the objects of a sequence do, by their smoothed paths at full rate."""
    view = View(sequence.width, sequence.height)
    lines, zones = LineShapes(LINES, view), ZoneShapes(ZONES, view)
    crossings: list[Told] = []
    stays: list[Told] = []
    for frames, boxes in _paths(sequence):
        points, times = anchors(boxes, view), [(frame - 1) / sequence.rate for frame in frames]
        (sides, numbers), inside = lines.sides(points, boxes[:, 3] - boxes[:, 1]), zones.inside(points)
        side, stay = Sides(len(LINES)), Stays(_TRUE_ZONES)
        changes = []
        for index, time in enumerate(times):
            crossed = side.see(lines, sides[index], numbers[index], tuple(points[index].tolist()), 0.0, time)
            crossings += [(list(LINES)[each.line], time, each.direction.value) for each in crossed]
            changes += stay.see(inside[index], -1, time)
        changes += stay.leave(stay.current(), times[-1])
        stays += [(list(ZONES)[change.zone], change.at, way_of(change.kind)) for change in changes]
    return crossings, stays


def way_of(kind: StayChange) -> str:
    """As it is compared."""
    return "in" if kind is StayChange.ENTERED else "out"


def _paths(sequence: Sequence) -> list[tuple[list[int], Floats]]:
    """Frames and smoothed boxes of each object that is to be found."""
    seen: dict[int, list[tuple[int, Floats]]] = defaultdict(list)
    for frame, truth in sequence.truth.items():
        for number, box in zip(truth.ids[truth.counts].tolist(), truth.boxes[truth.counts], strict=True):
            seen[number].append((frame, box))
    near = max(1, int(_SMOOTH * sequence.rate))
    paths = []
    for sightings in seen.values():
        boxes = np.array([box for _, box in sightings])
        smooth = [np.median(boxes[max(0, i - near) : i + near + 1], axis=0) for i in range(len(boxes))]
        paths.append(([frame for frame, _ in sightings], np.array(smooth)))
    return paths

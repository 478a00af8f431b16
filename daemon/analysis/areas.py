"""The zones and lines of a camera: who is in them, who has crossed them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from daemon.analysis.admission import ZoneAdmission
from daemon.analysis.association import Floats
from daemon.analysis.crowding import Crowding
from daemon.analysis.geometry import View, anchors
from daemon.analysis.lines import Crossing, LineShapes, Sides
from daemon.analysis.tracked_object import TrackedObject
from daemon.analysis.zones import Change, Stays, ZoneShapes
from daemon.config.tracking import Line, Zone
from daemon.records.objects import Direction

Totals = dict[tuple[str, Direction, str], int]
"""crossings by line, direction and label"""


@dataclass(frozen=True, slots=True)
class Happened:
    """To one object in one frame."""

    stays: Sequence[Change] = ()
    crossings: Sequence[Crossing] = ()


_NOTHING = Happened()


@dataclass(slots=True)
class Areas:
    """Of one camera, for one shape of its frames."""

    zones: Mapping[str, Zone]
    lines: Mapping[str, Line]
    labels: Sequence[str]
    """class names"""
    view: View
    totals: Totals = field(default_factory=dict)
    """shared with whoever keeps them over restarts"""
    counts: dict[str, Counter[str]] = field(init=False)
    """objects in each zone by label: those entered less those that have left"""
    crowding: dict[str, Crowding] = field(init=False)
    zone_names: list[str] = field(init=False)
    line_names: list[str] = field(init=False)
    admission: ZoneAdmission = field(init=False)
    _zone_list: list[Zone] = field(init=False)
    _zone_shapes: ZoneShapes = field(init=False)
    _line_shapes: LineShapes = field(init=False)

    def __post_init__(self) -> None:
        self.zone_names, self.line_names = list(self.zones), list(self.lines)
        self._zone_list = list(self.zones.values())
        self.counts = {name: Counter() for name in self.zones}
        self.crowding = {
            name: Crowding(zone.max_count) for name, zone in self.zones.items() if zone.max_count is not None
        }
        self.admission = ZoneAdmission(self.labels, self.zones)
        self._zone_shapes = ZoneShapes(self.zones, self.view)
        self._line_shapes = LineShapes(self.lines, self.view)

    def outside(self) -> tuple[Stays, Sides]:
        """Of an object that is in no zone, and on no side of a line."""
        return Stays(self._zone_list), Sides(len(self.lines))

    def see(self, objects: Sequence[TrackedObject], boxes: Floats, scores: Floats, now: float) -> Sequence[Happened]:
        """Takes the objects that are in a frame, with their boxes [n, 4] and scores [n]."""
        if not objects or not (self.zones or self.lines):
            return [_NOTHING] * len(objects)
        points = anchors(boxes, self.view)
        inside = self._zone_shapes.inside(points)
        by_size = self.admission.by_size(boxes, scores, self.view)
        sides, numbers = self._line_shapes.sides(points, boxes[:, 3] - boxes[:, 1])
        happened = []
        for index, (each, point) in enumerate(zip(objects, points.tolist(), strict=True)):
            stays: Sequence[Change] = ()
            crossings: Sequence[Crossing] = ()
            if inside[index] != each.stays.settled:
                admitted = by_size[index] & self.admission.by_label[each.label]
                stays = each.stays.see(inside[index], admitted, now)
            if numbers[index] == each.sides.settled:
                each.sides.at = point
            else:
                of = self._line_shapes, sides[index], numbers[index]
                crossings = each.sides.see(*of, point, each.unseen, now)
            happened.append(Happened(stays, crossings) if stays or crossings else _NOTHING)
        return happened

    def counts_at(self, line: int, label: str) -> bool:
        """Whether crossings of a label count at a line."""
        wanted = self.lines[self.line_names[line]].labels
        return wanted is None or label in wanted

    def cross(self, line: int, direction: Direction, label: str) -> int:
        """Counts a crossing; the total of that line, direction and label."""
        key = self.line_names[line], direction, label
        self.totals[key] = self.totals.get(key, 0) + 1
        return self.totals[key]

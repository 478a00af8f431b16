"""Who crosses which line, and which way. Pure.

An object settles on a side of a line when its anchor is a part of its height away from it. It crosses when it settles
on the other side and the straight way between the two points meets the line: to and fro on the line is no crossing,
nor is a way around its end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from daemon.analysis.association import Floats
from daemon.analysis.geometry import View
from daemon.config.tracking import Line, meet, turn
from daemon.records.objects import Direction

_BAND = 0.1
"""distance from the line at which a side is certain, box heights"""
_UNSEEN = 1.0
"""seconds unseen after which a crossing is uncertain"""


Anchor = tuple[float, float, float]
"""middle x, lower edge and middle y of a box, pixels"""


class LineShapes:
    """The lines of a camera, in pixels of its frames."""

    def __init__(self, lines: Mapping[str, Line], view: View) -> None:
        self._ends: list[tuple[tuple[float, ...], tuple[float, ...]]] = []
        normals = []
        for line in lines.values():
            a, b = view.pixels(line.points)
            sign = np.sign(turn(tuple(a), tuple(b), tuple(view.pixels([line.inside])[0])))
            normal = np.array([a[1] - b[1], b[0] - a[0]]) * sign / np.hypot(*(b - a))
            normals.append([*normal, -normal @ a])
            self._ends.append((tuple(a.tolist()), tuple(b.tolist())))
        self._normals = np.array(normals).reshape(-1, 3)
        self._places = 3 ** np.arange(len(lines), dtype=np.int64)
        self._lower = [line.anchor == "bottom" for line in lines.values()]

    def sides(self, anchors: Floats, heights: Floats) -> tuple[list[list[int]], list[int]]:
        """Of anchors [n, 3] and box heights [n]: where each is beside each line; 1 in, -1 out, 0 uncertain.

        And the same as one number each.
        """
        if not self._lower:
            return [[]] * len(anchors), [0] * len(anchors)
        y = np.where(self._lower, anchors[:, 1, None], anchors[:, 2, None])
        nx, ny, offset = self._normals.T
        distance = anchors[:, 0, None] * nx + y * ny + offset
        band = (_BAND * heights)[:, None]
        sides = (distance >= band).astype(np.int64) - (distance <= -band)
        return sides.tolist(), (sides @ self._places).tolist()

    def between(self, line: int, a: Anchor, b: Anchor) -> bool:
        """Whether the straight way from one anchor to another meets a line."""
        y = 1 if self._lower[line] else 2
        return meet((a[0], a[y]), (b[0], b[y]), *self._ends[line])


@dataclass(frozen=True, slots=True)
class Crossing:
    """Of one object and one line."""

    line: int
    """its index"""
    direction: Direction
    at: float
    """when it was first certain, seconds of the frames' clock"""
    uncertain: bool
    """it was not seen for a while on the way"""


_NOWHERE: Anchor = (0.0, 0.0, 0.0)


class Sides:
    """On which sides of its camera's lines one object is; only sightings count."""

    def __init__(self, count: int) -> None:
        """`count` lines."""
        self._sides = [0] * count
        """1 in, -1 out, 0 not known yet"""
        self._at = [_NOWHERE] * count
        """the last point on that side"""
        self._unseen = [0.0] * count
        """longest time without a sighting since then, seconds"""
        self.settled: int | None = None
        """sides, as one number, on which a sighting changes nothing but the last point; None: any may change more"""
        self.at = _NOWHERE
        """the last point where it is settled"""

    def see(
        self, shapes: LineShapes, sides: list[int], number: int, anchor: Anchor, unseen: float, now: float
    ) -> Sequence[Crossing]:
        """Takes a sighting, `unseen` seconds after the last; `number` stands for the sides."""
        self._unsettle()
        crossings = []
        for index, side in enumerate(sides):
            gap = max(self._unseen[index], unseen)
            if not side:
                self._unseen[index] = gap
                continue
            if side == -self._sides[index] and shapes.between(index, self._at[index], anchor):
                direction = Direction.IN if side > 0 else Direction.OUT
                crossings.append(Crossing(index, direction, now, gap > _UNSEEN))
            self._sides[index], self._at[index], self._unseen[index] = side, anchor, 0.0
        if 0 not in sides:
            self.settled, self.at = number, anchor
        return crossings

    def _unsettle(self) -> None:
        """Notes for each line what holds for all."""
        if self.settled is not None:
            self._at = [self.at] * len(self._sides)
            self._unseen = [0.0] * len(self._sides)
            self.settled = None

    def moved(self, count: int, where: Mapping[int, int]) -> Sides:
        """The same where there are other lines, by what has become of the indices of those that are the same."""
        self._unsettle()
        result = Sides(count)
        for old, new in where.items():
            result._sides[new], result._at[new] = self._sides[old], self._at[old]
            result._unseen[new] = self._unseen[old]
        return result

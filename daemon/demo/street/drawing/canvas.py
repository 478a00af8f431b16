"""An anti-aliased canvas in metres, from which actors and things are cut as premultiplied BGRA sprites."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]
"""blue, green, red"""
Point = tuple[float, float]
"""metres: x ahead, y up"""

_SHIFT = 4
_FINE = 72.0
"""pixels a metre under which a sprite is drawn larger and shrunk: whole-pixel line widths would distort it"""


def rgb(value: int) -> Colour:
    """0xRRGGBB to the BGR order that OpenCV draws in."""
    return value & 255, value >> 8 & 255, value >> 16 & 255


def shade(colour: Colour, factor: float) -> Colour:
    """The colour made darker (factor under 1) or lighter (over 1)."""
    b, g, r = (min(255, round(part * factor)) for part in colour)
    return b, g, r


def smooth(points: Sequence[Point], rounds: int = 2) -> list[Point]:
    """Chaikin's corner cutting of a closed outline."""
    outline = np.asarray(points, np.float64)
    for _ in range(rounds):
        after = np.roll(outline, -1, axis=0)
        outline = np.stack([0.75 * outline + 0.25 * after, 0.25 * outline + 0.75 * after], axis=1).reshape(-1, 2)
    return [(float(x), float(y)) for x, y in outline]


def fixed(points: NDArray[np.float64]) -> NDArray[np.int32]:
    """Pixel coordinates counted from the picture's corner to OpenCV's fixed point, counted from a pixel's centre."""
    return np.rint((points - 0.5) * (1 << _SHIFT)).astype(np.int32)


def fill(pixels: NDArray[np.uint8], points: NDArray[np.float64], colour: Sequence[int]) -> None:
    """Fill a polygon given in pixels, in place."""
    cv2.fillPoly(pixels, [fixed(points)], tuple(colour), cv2.LINE_AA, _SHIFT)


@dataclass(frozen=True, slots=True, eq=False)
class Sprite:
    """A flat upright picture that stands in the street."""

    pixels: NDArray[np.uint8]
    """[h, w, 4] BGRA, colours premultiplied by alpha"""
    left: float
    """metres ahead of the standing point where the picture's left edge is (negative: behind)"""
    right: float
    """metres ahead of the standing point where the right edge is"""
    bottom: float
    """metres above the ground"""
    top: float
    """metres above the ground"""


class Canvas:
    """Draws shapes in metres and gives them as a sprite; what is drawn later lies above."""

    def __init__(self, left: float, right: float, bottom: float, top: float, scale: float) -> None:
        """The drawn field in metres; `scale` is pixels a metre of the finished sprite."""
        self._shrink = max(1, math.ceil(_FINE / scale))
        self._size = math.ceil((right - left) * scale), math.ceil((top - bottom) * scale)
        self._scale = scale * self._shrink
        self._left, self._top = left, bottom + self._size[1] / scale
        self._field = left, left + self._size[0] / scale, bottom, self._top
        self._pixels = np.zeros((self._size[1] * self._shrink, self._size[0] * self._shrink, 4), np.uint8)

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        fill(self._pixels, self._to_pixels(points), (*colour, 255))

    def line(self, points: Sequence[Point], width: float, colour: Colour) -> None:
        """A line with round ends and corners; width in metres."""
        path, thickness = fixed(self._to_pixels(points)), max(1, round(width * self._scale))
        cv2.polylines(self._pixels, [path], False, (*colour, 255), thickness, cv2.LINE_AA, _SHIFT)

    def disc(self, centre: Point, radius: float, colour: Colour) -> None:
        x, y = fixed(self._to_pixels([centre]))[0].tolist()
        reach = round(radius * self._scale * (1 << _SHIFT))
        cv2.circle(self._pixels, (x, y), reach, (*colour, 255), cv2.FILLED, cv2.LINE_AA, _SHIFT)

    def oval(self, centre: Point, radii: Point, colour: Colour, turn: float = 0.0) -> None:
        """A filled ellipse; `turn` in radians, against the clock."""
        angle = np.linspace(0, 2 * math.pi, 24, endpoint=False)
        x, y = radii[0] * np.cos(angle), radii[1] * np.sin(angle)
        c, s = math.cos(turn), math.sin(turn)
        ring = zip((centre[0] + x * c - y * s).tolist(), (centre[1] + x * s + y * c).tolist(), strict=True)
        self.polygon(list(ring), colour)

    def sprite(self) -> Sprite:
        pixels = self._pixels
        if self._shrink > 1:
            pixels = cv2.resize(pixels, self._size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
        return Sprite(pixels, *self._field)

    def _to_pixels(self, points: Sequence[Point]) -> NDArray[np.float64]:
        metres = np.asarray(points, np.float64)
        return (metres - (self._left, self._top)) * (self._scale, -self._scale)

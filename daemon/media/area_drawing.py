"""Zones and lines of a camera drawn on its picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from daemon.config.camera import Camera
from daemon.config.tracking import turn
from daemon.media.draw import tag

Pixels = Callable[[Sequence[Sequence[float]]], NDArray[np.float64]]

_ZONE, _LINE = (60, 160, 60), (40, 40, 200)
_ARROW = 0.08  # of the picture's height


def draw_areas(picture: NDArray[np.uint8], camera: Camera, pixels: Pixels) -> NDArray[np.uint8]:
    """A copy of a BGR picture [H, W, 3], as the camera's settings make it, with its zones and lines.

    `pixels` are those of points in parts of the turned picture, [n, 2].
    An arrow points to the side of a line that counts as in; beside each name stands the point of a box that counts.
    """
    drawn = picture.copy()
    height = drawn.shape[0]
    scale = max(0.35, min(drawn.shape[:2]) / 1500)
    thick = max(1, round(4 * scale))
    for name, zone in camera.zones.items():
        corners = pixels(zone.polygon).round().astype(np.int32)
        filled = drawn.copy()
        cv2.fillPoly(filled, [corners], _ZONE)
        cv2.addWeighted(filled, 0.25, drawn, 0.75, 0, drawn)
        cv2.polylines(drawn, [corners], True, _ZONE, thick, cv2.LINE_AA)
        middle = corners.mean(axis=0)
        tag(drawn, f"{name} ({zone.anchor})", (round(middle[0]), round(middle[1])), _ZONE, scale)
    for name, line in camera.lines.items():
        start, end, inside = pixels([*line.points, line.inside])
        cv2.line(drawn, _point(start), _point(end), _LINE, thick, cv2.LINE_AA)
        middle = (start + end) / 2
        across = np.array([start[1] - end[1], end[0] - start[0]]) / max(1e-6, float(np.hypot(*(end - start))))
        across *= np.sign(turn(tuple(start), tuple(end), tuple(inside))) * _ARROW * height
        cv2.arrowedLine(drawn, _point(middle), _point(middle + across), _LINE, thick, cv2.LINE_AA, tipLength=0.3)
        tag(drawn, f"{name} ({line.anchor})", _point(start), _LINE, scale)
    return drawn


def _point(at: Sequence[float] | NDArray[np.float64]) -> tuple[int, int]:
    return round(float(at[0])), round(float(at[1]))

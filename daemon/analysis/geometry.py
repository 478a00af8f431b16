"""Positions in pictures: parts of the turned picture, and pixels of the frame that is analysed. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from daemon.analysis.association import Floats

_INSIDE = 1e-3  # pixels; the lower edge itself is outside of a zone that ends there


@dataclass(frozen=True, slots=True)
class View:
    """The frame that boxes refer to, and the part of the turned picture that it shows."""

    width: int
    """pixels"""
    height: int
    """pixels"""
    crop: tuple[float, ...] = (0.0, 0.0, 1.0, 1.0)
    """left, top, right, bottom; parts of the turned picture"""

    def pixels(self, points: Sequence[Sequence[float]]) -> Floats:
        """Points in parts of the turned picture, [n, 2], as pixels of the frame; they may lie outside of it."""
        left, top, right, bottom = self.crop
        parts = (np.asarray(points, np.float64) - [left, top]) / [right - left, bottom - top]
        result: Floats = parts * [self.width, self.height]
        return result


def anchors(boxes: Floats, view: View) -> Floats:
    """Of boxes [n, 4]: middle x, lower edge and middle y, kept inside the picture; [n, 3], pixels."""
    result = np.empty((len(boxes), 3))
    result[:, 0] = (boxes[:, 0] + boxes[:, 2]) * 0.5
    result[:, 1] = boxes[:, 3]
    result[:, 2] = (boxes[:, 1] + boxes[:, 3]) * 0.5
    np.maximum(result, 0.0, out=result)
    np.minimum(result, np.array([view.width, view.height, view.height]) - _INSIDE, out=result)
    return result

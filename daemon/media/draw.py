"""Detections drawn on a picture, for people."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.records import Detections


def annotate(
    picture: NDArray[np.uint8], found: Detections, labels: Sequence[str], caption: str = ""
) -> NDArray[np.uint8]:
    """A copy of a BGR picture [H, W, 3] with a box and a name for each detection, and a caption above."""
    drawn = picture.copy()
    scale = max(0.35, min(drawn.shape[:2]) / 1500)
    line = max(1, round(3 * scale))
    for box, score, label in zip(found.boxes, found.scores, found.labels, strict=True):
        x1, y1, x2, y2 = (round(float(v)) for v in box)
        colour = _colour(int(label))
        cv2.rectangle(drawn, (x1, y1), (x2, y2), colour, line, cv2.LINE_AA)
        tag(drawn, f"{labels[int(label)]} {score:.2f}", (x1, y1), colour, scale)
    if caption:
        tag(drawn, caption, (0, 0), (40, 40, 40), scale)
    return drawn


def tag(
    picture: NDArray[np.uint8], text: str, corner: tuple[int, int], colour: tuple[int, int, int], scale: float
) -> None:
    """Draws text on a filled background, above `corner` where there is room and below it otherwise."""
    (width, height), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    x, y = corner
    bottom = y if y >= height + base else y + height + base
    cv2.rectangle(picture, (x, bottom - height - base), (x + width, bottom), colour, cv2.FILLED)
    cv2.putText(
        picture, text, (x, bottom - base // 2), cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 1, cv2.LINE_AA
    )


def _colour(label: int) -> tuple[int, int, int]:
    """A BGR colour for a class; neighbours in the list are far apart in hue."""
    red, green, blue = colorsys.hsv_to_rgb(label * 0.381966 % 1.0, 0.75, 0.75)
    return round(blue * 255), round(green * 255), round(red * 255)

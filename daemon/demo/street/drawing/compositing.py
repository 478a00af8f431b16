"""Puts what is drawn into a picture, and notes whose pixels they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

SOLID = 128
"""alpha from which a pixel belongs to what is drawn there"""


@dataclass(frozen=True, slots=True, eq=False)
class Cutout:
    """A sprite as the camera sees it, before it is cut at the picture's edge."""

    pixels: NDArray[np.uint8]
    """[h, w, 4] premultiplied BGRA"""
    x: int
    """picture column of its left edge; may be outside"""
    y: int
    """picture row of its upper edge; may be outside"""


@dataclass(frozen=True, slots=True)
class Drawn:
    """Where an actor was drawn."""

    size: int
    """pixels that it would have with nothing in front and no picture's edge"""
    left: int
    """pixels; the part of the picture that holds it"""
    top: int
    right: int
    bottom: int


def flat(height: int, width: int, colour: NDArray[np.float64]) -> NDArray[np.uint8]:
    """A picture of one colour; copied row by row, which is many times faster than numpy.full with three channels."""
    flat = np.empty((height, width, 3), np.uint8)
    flat[:] = np.tile(np.clip(colour, 0, 255).astype(np.uint8), (width, 1))
    return flat


def cover(
    picture: NDArray[np.uint8],
    owner: NDArray[np.uint8],
    cutout: Cutout,
    light: NDArray[np.float64],
    drawn: Sequence[Drawn | None],
) -> None:
    """Draw a thing, which the backdrop already shows, again where actors were drawn behind it."""
    h, w = cutout.pixels.shape[:2]
    for at in drawn:
        if at is not None:
            left, top = max(at.left, cutout.x), max(at.top, cutout.y)
            right, bottom = min(at.right, cutout.x + w), min(at.bottom, cutout.y + h)
            if left < right and top < bottom:
                part = cutout.pixels[top - cutout.y : bottom - cutout.y, left - cutout.x : right - cutout.x]
                paste(picture, owner, Cutout(part, left, top), light)


def paste(
    picture: NDArray[np.uint8],
    owner: NDArray[np.uint8] | None,
    cutout: Cutout,
    light: NDArray[np.float64],
    mark: int = 255,
) -> int:
    """Draw a cutout in this light (BGR factors) and mark its pixels; how many it has, also off the picture."""
    h, w = cutout.pixels.shape[:2]
    top, left = max(0, -cutout.y), max(0, -cutout.x)
    bottom, right = min(h, picture.shape[0] - cutout.y), min(w, picture.shape[1] - cutout.x)
    size = int(np.count_nonzero(cutout.pixels[:, :, 3] >= SOLID))
    if bottom <= top or right <= left:
        return size
    pixels = cutout.pixels[top:bottom, left:right]
    here = slice(cutout.y + top, cutout.y + bottom), slice(cutout.x + left, cutout.x + right)
    alpha = np.ascontiguousarray(pixels[:, :, 3])
    behind = cv2.multiply(picture[here], cv2.cvtColor(255 - alpha, cv2.COLOR_GRAY2BGR), scale=1 / 255)
    lamp = flat(alpha.shape[0], alpha.shape[1], light * 128)
    lit = cv2.multiply(cv2.cvtColor(pixels, cv2.COLOR_BGRA2BGR), lamp, scale=1 / 128)
    cv2.add(behind, lit, dst=picture[here])
    if owner is not None:
        owner[here][alpha >= SOLID] = mark
    return size

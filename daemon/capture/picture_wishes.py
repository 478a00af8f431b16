"""Pictures that somebody who looks at a camera has asked for: each is written once into memory that the asker gives."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from daemon.records import Frame
from daemon.system.descriptors import OwnDescriptor

_SIDEWAYS = (cv2.ROTATE_90_CLOCKWISE, cv2.ROTATE_90_COUNTERCLOCKWISE)


@dataclass(frozen=True, slots=True)
class Filled:
    """Which picture was written into the memory of a wish."""

    camera: str
    sequence: int
    captured_at: float
    """UTC, seconds since the epoch"""
    width: int
    """of what lies in memory as [height, width, 3] BGR, pixels"""
    height: int
    """likewise"""


@dataclass(slots=True, eq=False)
class Wish:
    """One picture of a camera, for the camera's thread to fill."""

    memory: NDArray[np.uint8]
    """[bytes], which nobody else writes to until `filled`"""
    width: int
    """pixels at most; a smaller picture stays as it is"""
    edited: bool
    """as it is analysed; False: turned, but neither cropped nor resized nor masked"""
    filled: Callable[[Filled], None]
    """in the camera's thread"""
    descriptor: OwnDescriptor | None = None
    """of the memory, for a camera in another process"""
    size: tuple[int, int] | None = None
    """width and height of an unedited picture that lies there already, pixels"""

    def fill(self, picture: NDArray[np.uint8], turn: int | None = None) -> None:
        """Writes the picture [H, W, 3] BGR into memory, reduced; `turn` is one of OpenCV's rotations."""
        height, width = picture.shape[:2]
        size = (height, width) if turn in _SIDEWAYS else (width, height)
        self.size = width, height = _fitting(*size, self.width, self.memory.size)
        out = self.memory[: width * height * 3].reshape(height, width, 3)
        if turn is None:
            _reduce(picture, out)
            return
        reduced = np.empty((width, height, 3) if turn in _SIDEWAYS else out.shape, np.uint8)
        _reduce(picture, reduced)
        cv2.rotate(reduced, turn, dst=out)


class PictureWishes:
    """At most one of a kind and camera. Whoever asks calls `want`, the camera's thread the others.

    A camera that nobody looks at costs one look-up a frame.
    """

    def __init__(self) -> None:
        self._changing = threading.Lock()
        self._wanted: dict[str, dict[bool, Wish]] = {}
        """by camera, and by whether edited; to look whether one is there takes no lock"""

    def want(self, camera: str, wish: Wish) -> None:
        """Replaces an earlier one of its kind that is not filled yet."""
        with self._changing:
            self._wanted.setdefault(camera, {})[wish.edited] = wish

    def forget_all(self) -> None:
        """Nobody looks any more; one that is being filled is still told."""
        with self._changing:
            self._wanted.clear()

    def received(self, camera: str, picture: NDArray[np.uint8], turn: int | None) -> None:
        """Fills what is wanted of a picture [H, W, 3] that is about to be edited, and told when it is delivered."""
        if camera in self._wanted and (wish := self._wanted.get(camera, {}).get(False)) is not None:
            wish.fill(picture, turn)

    def delivered(self, frame: Frame, edited: bool) -> None:
        """Fills what is wanted of a frame and tells what is filled; `edited`: whether `received` has seen it first."""
        if frame.camera not in self._wanted:
            return
        for wish in self._due(frame.camera, edited):
            if wish.size is None:
                wish.fill(frame.image.host())
            if wish.size is not None:
                wish.filled(Filled(frame.camera, frame.sequence, frame.captured_at, *wish.size))

    def _due(self, camera: str, edited: bool) -> list[Wish]:
        """Takes those out that this frame is for; an unedited one that came after `received` waits for the next."""
        with self._changing:
            wanted = self._wanted.pop(camera, {})
            due = [wish for wish in wanted.values() if wish.edited or not edited or wish.size is not None]
            if late := {wish.edited: wish for wish in wanted.values() if wish not in due}:
                self._wanted[camera] = late
            return due


def _fitting(width: int, height: int, widest: int, most_bytes: int) -> tuple[int, int]:
    """Width and height of a picture reduced to a width and to the bytes that there are, pixels."""
    scale = min(1.0, widest / width, (most_bytes / 3 / (width * height)) ** 0.5)
    return max(1, int(width * scale)), max(1, int(height * scale))


def _reduce(picture: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    """To exactly half with all pixels, which OpenCV does fast; otherwise from the nearest ones."""
    height, width = out.shape[:2]
    if (height, width) == picture.shape[:2]:
        np.copyto(out, picture)
        return
    halved = picture.shape[:2] == (2 * height, 2 * width)
    cv2.resize(picture, (width, height), dst=out, interpolation=cv2.INTER_AREA if halved else cv2.INTER_LINEAR)

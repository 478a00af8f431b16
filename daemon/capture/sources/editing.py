"""What a camera's settings make of its pictures before anything looks at them: turned, cropped, resized, masked."""

from __future__ import annotations

import cv2
import numpy as np

from daemon.capture.sources.base import Image, Source, Stream
from daemon.config.schema import Camera

_TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


class Editing:
    """The settings `rotate`, `crop`, `resize` and `masks` of one camera. For one thread."""

    def __init__(self, camera: Camera) -> None:
        self._turn = camera.rotate
        self._crop = camera.crop or (0.0, 0.0, 1.0, 1.0)
        self._resize = camera.resize
        self._masks = [np.array(polygon) for polygon in camera.masks]
        """each [N, 2], parts of the turned picture"""
        self.in_place = not (camera.rotate or camera.crop or camera.resize)
        """whether `mask` is all there is to do"""

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of what comes out, for what comes in, pixels."""
        if self._resize is not None:
            return self._resize[0], self._resize[1]
        left, top, right, bottom = self._rectangle(*self._turned(width, height))
        return right - left, bottom - top

    def apply(self, picture: Image, out: Image) -> None:
        """Turns, crops, resizes and masks the picture into `out`, which has the size that it is to have."""
        height, width = picture.shape[:2]
        part = self._part(picture)
        if self._resize is None and not self._turn:
            np.copyto(out, part)
        elif not self._turn:
            _resize(part, out)
        elif self._resize is None:
            cv2.rotate(part, _TURNS[self._turn], dst=out)
        else:  # resized before it is turned, while it is as it will be in memory
            shape = out.shape if self._turn == 180 else (out.shape[1], out.shape[0], 3)
            resized = np.empty(shape, np.uint8)
            _resize(part, resized)
            cv2.rotate(resized, _TURNS[self._turn], dst=out)
        self.mask(out, *self._turned(width, height))

    def mask(self, picture: Image, width: int, height: int) -> None:
        """Blacks out the masks in what has become of a turned picture of that width and height, in place."""
        left, top, right, bottom = self._rectangle(width, height)
        scale = picture.shape[1] / (right - left), picture.shape[0] / (bottom - top)
        for mask in self._masks:
            corners = (mask * (width, height) - (left, top)) * scale
            # One at a time: where two overlap, cv2.fillPoly of both would leave a hole.
            cv2.fillPoly(picture, [np.floor(corners).astype(np.int32)], (0, 0, 0))

    def _turned(self, width: int, height: int) -> tuple[int, int]:
        return (height, width) if self._turn in (90, 270) else (width, height)

    def _rectangle(self, width: int, height: int) -> tuple[int, int, int, int]:
        """The crop in a turned picture, pixels; one at least in each direction."""
        left, top, right, bottom = self._crop
        x, y = min(round(left * width), width - 1), min(round(top * height), height - 1)
        return x, y, max(round(right * width), x + 1), max(round(bottom * height), y + 1)

    def _part(self, picture: Image) -> Image:
        """The crop, in the picture as it was before it is turned; not a copy."""
        height, width = picture.shape[:2]
        left, top, right, bottom = self._rectangle(*self._turned(width, height))
        if self._turn == 90:
            left, top, right, bottom = top, height - right, bottom, height - left
        elif self._turn == 180:
            left, top, right, bottom = width - right, height - bottom, width - left, height - top
        elif self._turn == 270:
            left, top, right, bottom = width - bottom, left, width - top, right
        return picture[top:bottom, left:right]


class EditedSource:
    """A source whose pictures are edited; in all else the source itself."""

    def __init__(self, source: Source, editing: Editing) -> None:
        self._source = source
        self._editing = editing
        self._raw: Image | None = None
        """the picture as it came, kept as the memory for the next one"""

    @property
    def stream_time(self) -> float | None:
        return self._source.stream_time

    @property
    def due(self) -> float | None:
        return self._source.due

    def grab(self) -> None:
        self._source.grab()

    def retrieve(self, into: Image | None) -> Image:
        editing = self._editing
        if editing.in_place:
            picture = self._source.retrieve(into)
            editing.mask(picture, picture.shape[1], picture.shape[0])
            return picture
        self._raw = self._source.retrieve(self._raw)
        width, height = editing.size(self._raw.shape[1], self._raw.shape[0])
        if into is None or into.shape != (height, width, 3):
            into = np.empty((height, width, 3), np.uint8)
        editing.apply(self._raw, into)
        return into

    def stream(self) -> Stream:
        return self._source.stream()

    def close(self) -> None:
        self._source.close()


def edited(source: Source, camera: Camera) -> Source:
    """The source, with the camera's settings applied to its pictures; itself where there are none."""
    if camera.rotate or camera.crop or camera.resize or camera.masks:
        return EditedSource(source, Editing(camera))
    return source


def _resize(picture: Image, out: Image) -> None:
    smaller = out.shape[0] <= picture.shape[0] and out.shape[1] <= picture.shape[1]
    size = out.shape[1], out.shape[0]
    cv2.resize(picture, size, dst=out, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)

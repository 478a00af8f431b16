"""Applies a camera's settings to its pictures before inference: rotate, crop, resize, mask."""

from __future__ import annotations

import cv2
import numpy as np

from daemon.capture.sources.base import Received, Source, Stream
from daemon.config.camera import Camera
from daemon.records import Drop
from engines.pictures import BgrPicture, Image, Picture

_ROTATIONS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


class Editing:
    """The settings `rotate`, `crop`, `resize` and `masks` of one camera. For one thread."""

    def __init__(self, camera: Camera) -> None:
        self._rotate = camera.rotate
        self._crop = camera.crop or (0.0, 0.0, 1.0, 1.0)
        self._resize = camera.resize
        self._masks = [np.array(polygon) for polygon in camera.masks]
        """each [N, 2], normalised coordinates (0..1) of the rotated picture"""
        self.in_place = not (camera.rotate or camera.crop or camera.resize)
        """whether only `mask` is needed"""

    @property
    def turn(self) -> int | None:
        """OpenCV's rotation; None: none."""
        return _ROTATIONS.get(self._rotate)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the edited picture for those of the source, pixels."""
        if self._resize is not None:
            return self._resize[0], self._resize[1]
        left, top, right, bottom = self._rectangle(*self._rotated_size(width, height))
        return right - left, bottom - top

    def apply(self, picture: Image, out: Image) -> None:
        """Rotates, crops, resizes and masks the picture into `out`, which has the final size."""
        height, width = picture.shape[:2]
        part = self._part(picture)
        if self._resize is None and not self._rotate:
            np.copyto(out, part)
        elif not self._rotate:
            _resize(part, out)
        elif self._resize is None:
            cv2.rotate(part, _ROTATIONS[self._rotate], dst=out)
        else:  # resize before rotating, into the rotated shape of `out`
            shape = out.shape if self._rotate == 180 else (out.shape[1], out.shape[0], 3)
            resized = np.empty(shape, np.uint8)
            _resize(part, resized)
            cv2.rotate(resized, _ROTATIONS[self._rotate], dst=out)
        self.mask(out, *self._rotated_size(width, height))

    def mask(self, picture: Image, width: int, height: int) -> None:
        """Blacks out the masks in place; width and height are those of the rotated picture before crop and resize."""
        left, top, right, bottom = self._rectangle(width, height)
        scale = picture.shape[1] / (right - left), picture.shape[0] / (bottom - top)
        for mask in self._masks:
            corners = (mask * (width, height) - (left, top)) * scale
            # One at a time: cv2.fillPoly of two that overlap leaves a hole.
            cv2.fillPoly(picture, [np.floor(corners).astype(np.int32)], (0, 0, 0))

    def _rotated_size(self, width: int, height: int) -> tuple[int, int]:
        return (height, width) if self._rotate in (90, 270) else (width, height)

    def _rectangle(self, width: int, height: int) -> tuple[int, int, int, int]:
        """The crop in a rotated picture, pixels; at least 1 x 1."""
        left, top, right, bottom = self._crop
        x, y = min(round(left * width), width - 1), min(round(top * height), height - 1)
        return x, y, max(round(right * width), x + 1), max(round(bottom * height), y + 1)

    def _part(self, picture: Image) -> Image:
        """A view of the crop in the picture before rotation."""
        height, width = picture.shape[:2]
        left, top, right, bottom = self._rectangle(*self._rotated_size(width, height))
        if self._rotate == 90:
            left, top, right, bottom = top, height - right, bottom, height - left
        elif self._rotate == 180:
            left, top, right, bottom = width - right, height - bottom, width - left, height - top
        elif self._rotate == 270:
            left, top, right, bottom = width - bottom, left, width - top, right
        return picture[top:bottom, left:right]


class EditedSource:
    """A source whose pictures are edited."""

    def __init__(self, source: Source, editing: Editing, received: Received | None = None) -> None:
        self._source = source
        self._received = received or _nobody
        self._editing = editing
        self._raw: Image | None = None
        """the unedited picture; its memory is reused for the next one"""

    @property
    def stream_time(self) -> float | None:
        return self._source.stream_time

    @property
    def due(self) -> float | None:
        return self._source.due

    @property
    def picture(self) -> str | None:
        return self._source.picture

    @property
    def passes(self) -> int:
        return self._source.passes

    @property
    def grows(self) -> bool:
        return self._source.grows

    @property
    def fallback(self) -> str | None:
        return self._source.fallback

    @property
    def next_at(self) -> float | None:
        return self._source.next_at

    def grab(self) -> Drop | None:
        return self._source.grab()

    def retrieve(self, into: Image | None) -> Picture:
        editing = self._editing
        if editing.in_place:
            picture = self._source.retrieve(into).host(into)
            self._received(picture, None)
            editing.mask(picture, picture.shape[1], picture.shape[0])
            return BgrPicture(picture)
        self._raw = self._source.retrieve(self._raw).host(self._raw)
        self._received(self._raw, editing.turn)
        width, height = editing.size(self._raw.shape[1], self._raw.shape[0])
        if into is None or into.shape != (height, width, 3):
            into = np.empty((height, width, 3), np.uint8)
        editing.apply(self._raw, into)
        return BgrPicture(into)

    def stream(self) -> Stream:
        return self._source.stream()

    def close(self) -> None:
        self._source.close()


def is_edited(camera: Camera) -> bool:
    """Whether the camera's pictures are edited at all."""
    return bool(camera.rotate or camera.crop or camera.resize or camera.masks)


def edited(source: Source, camera: Camera, received: Received | None = None) -> Source:
    """The source with the camera's settings applied to its pictures; the source itself if there are none."""
    return EditedSource(source, Editing(camera), received) if is_edited(camera) else source


def _nobody(picture: Image, turn: int | None) -> None:
    """The default of `received`."""


def _resize(picture: Image, out: Image) -> None:
    smaller = out.shape[0] <= picture.shape[0] and out.shape[1] <= picture.shape[1]
    size = out.shape[1], out.shape[0]
    cv2.resize(picture, size, dst=out, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)

"""Input geometry, detections and the protocol of a session, with coordinate space and units under each field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import NewType, Protocol

import numpy as np
from numpy.typing import NDArray

from engines.pictures import Pixels


class Fit(str, Enum):
    """How an image of any size is fitted into the model's input."""

    CENTRED = "centred"
    """letterbox: aspect ratio kept, padding on both sides"""
    TOP_LEFT = "top-left"
    """letterbox: aspect ratio kept, padding right and below"""
    STRETCH = "stretch"
    """both axes scaled to fill the input"""


@dataclass(frozen=True, slots=True)
class InputOverride:
    """A user's changes to a model's input; None: the family's value."""

    size: tuple[int, int] | None = None
    """height and width in pixels, of a file that leaves them open"""
    fit: Fit | None = None
    pad: int | None = None
    """pixel value of the padding, 0 to 255"""
    rgb: bool | None = None
    """False: BGR"""
    scale: float | None = None
    """value = (pixel * scale - mean) / std; if one of the three is set, the others default to 1, 0, 1"""
    mean: tuple[float, ...] | None = None
    """of pixels times scale, in the model's colour order"""
    std: tuple[float, ...] | None = None
    """of pixels times scale, in the model's colour order"""


@dataclass(frozen=True, slots=True)
class Letterbox:
    """The place of a source image in the model's input, in whole pixels.

    The resized size is `round(size * min(width ratio, height ratio))`, halves to even as in Python and most
    training code. It is computed in integers, so that the graph that resizes and the code that maps boxes back agree.
    """

    source_width: int
    source_height: int
    width: int
    """of the resized image in the model's input"""
    height: int
    """of the resized image in the model's input"""
    left: int
    """of the resized image in the model's input"""
    top: int
    """of the resized image in the model's input"""

    @classmethod
    @lru_cache(maxsize=256)  # cameras keep their size
    def of(cls, source_width: int, source_height: int, input_width: int, input_height: int, fit: Fit) -> Letterbox:
        """The place of a source_width x source_height image in an input_width x input_height input."""
        w, h = source_width, source_height
        if fit is Fit.STRETCH:
            return cls(w, h, input_width, input_height, 0, 0)
        width = max(1, min(input_width, _rounded_ratio(w * input_height, h)))
        height = max(1, min(input_height, _rounded_ratio(h * input_width, w)))
        if fit is Fit.TOP_LEFT:
            return cls(w, h, width, height, 0, 0)
        return cls(w, h, width, height, (input_width - width) // 2, (input_height - height) // 2)

    def to_source(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Boxes [..., 4] xyxy in model-input pixels, mapped to source pixels and clipped to the image."""
        return _mapped(boxes, *_mapping(self))


def to_source(boxes: NDArray[np.float32], letterboxes: Sequence[Letterbox]) -> NDArray[np.float32]:
    """Boxes [B, N, 4] of B images, each as its Letterbox.to_source maps them."""
    first = letterboxes[0]
    if all(box is first for box in letterboxes):
        return first.to_source(boxes)
    return _mapped(boxes, *(np.stack(each)[:, None] for each in zip(*map(_mapping, letterboxes), strict=True)))


def _mapped(
    boxes: NDArray[np.float32], offset: NDArray[np.float32], scale: NDArray[np.float32], limit: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Boxes [..., 4], by what `_mapping` gives."""
    mapped: NDArray[np.float32] = boxes - offset
    mapped *= scale
    np.maximum(mapped, 0, out=mapped)  # cheaper than clip, which matters for every frame
    return np.minimum(mapped, limit, out=mapped)


@lru_cache(maxsize=256)  # cameras keep their size
def _mapping(box: Letterbox) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Offset, scale and upper limit, [4] each, that map boxes from the model's input to the source."""
    offset = np.array([box.left, box.top] * 2, np.float32)
    scale = np.array([box.source_width / box.width, box.source_height / box.height] * 2, np.float32)
    return offset, scale, np.array([box.source_width, box.source_height] * 2, np.float32)


def _rounded_ratio(a: int, b: int) -> int:
    """round(a / b), halves to even, in integers."""
    ratio, rest = divmod(2 * a + b, 2 * b)
    return ratio - (ratio % 2 if rest == 0 else 0)


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """The objects in one image, in descending order of score."""

    boxes: NDArray[np.float32]
    """[N, 4] xyxy, pixels of the source image, clipped to it"""
    scores: NDArray[np.float32]
    """[N] 0 to 1"""
    labels: NDArray[np.int32]
    """[N] class indices"""

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True, slots=True, eq=False)
class BatchDetections:
    """The result of one batch of images."""

    detections: tuple[Detections, ...]
    """one per image, in the order given"""
    preprocess: float
    """seconds, whole batch"""
    detector: float
    """seconds, whole batch"""
    postprocess: float
    """seconds, whole batch"""


Handle = NewType("Handle", int)
"""A batch on its way; only the session that gave it can collect it, once."""


class DetectorSession(Protocol):
    """One model on one backend, with several batches in flight. For one thread at a time, not always the same."""

    @property
    def slots(self) -> int:
        """How many batches may be submitted and not yet collected."""

    @property
    def max_batch(self) -> int:
        """Most pictures in a batch."""

    def set_confidence(self, confidence: float) -> None:
        """From now on `collect` gives what scores at least this, 0 to 1; batches in flight may keep to a higher one."""

    def submit(self, pictures: Sequence[Pixels]) -> Handle:
        """Starts a batch of pictures, each of any size; they must stay unchanged until collected."""

    def is_done(self, handle: Handle) -> bool:
        """Whether `collect` would not have to wait. Raises BackendError where the backend failed."""

    def collect(self, handle: Handle) -> BatchDetections:
        """Waits for a batch. Raises BackendError where the backend failed."""

    def close(self) -> None:
        """Frees everything; batches not collected are lost."""

"""Arrays that leave the engines, with coordinate space and units under each field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NewType, Protocol

import numpy as np
from numpy.typing import NDArray


class Fit(str, Enum):
    """How a picture of any shape is fitted into the model's input."""

    CENTRED = "centred"
    """letterbox: aspect ratio kept, padding on both sides"""
    TOP_LEFT = "top-left"
    """letterbox: aspect ratio kept, padding right and below"""
    STRETCH = "stretch"
    """both axes scaled to fill the input"""


@dataclass(frozen=True, slots=True)
class Letterbox:
    """Where a source picture lies inside the model's input; all in whole pixels.

    The resized size is `round(size * min(width ratio, height ratio))`, halves up, computed in integers, so that
    the graph that resizes and the code that maps boxes back cannot disagree:
    `min(input width, (2 * w * input height + h) // (2 * h))`, and the same with the axes exchanged.
    """

    source_width: int
    source_height: int
    width: int
    """of the resized picture inside the model's input"""
    height: int
    """of the resized picture inside the model's input"""
    left: int
    """of the resized picture inside the model's input"""
    top: int
    """of the resized picture inside the model's input"""

    @classmethod
    def of(cls, source_width: int, source_height: int, input_width: int, input_height: int, fit: Fit) -> Letterbox:
        """The place of a source_width x source_height picture in an input_width x input_height input."""
        w, h = source_width, source_height
        if fit is Fit.STRETCH:
            return cls(w, h, input_width, input_height, 0, 0)
        width = max(1, min(input_width, (2 * w * input_height + h) // (2 * h)))
        height = max(1, min(input_height, (2 * h * input_width + w) // (2 * w)))
        if fit is Fit.TOP_LEFT:
            return cls(w, h, width, height, 0, 0)
        return cls(w, h, width, height, (input_width - width) // 2, (input_height - height) // 2)

    def to_source(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Boxes [N, 4] xyxy in model-input pixels, mapped to source pixels and clipped to the picture."""
        scale = np.array([self.source_width / self.width, self.source_height / self.height] * 2, np.float32)
        offset = np.array([self.left, self.top] * 2, np.float32)
        limit = np.array([self.source_width, self.source_height] * 2, np.float32)
        mapped: NDArray[np.float32] = np.clip((boxes - offset) * scale, 0, limit)
        return mapped


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """The objects of one picture, best first."""

    boxes: NDArray[np.float32]
    """[N, 4] xyxy, pixels of the source picture, clipped to it"""
    scores: NDArray[np.float32]
    """[N] 0 to 1"""
    labels: NDArray[np.int32]
    """[N] class indices"""

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True, slots=True, eq=False)
class BatchDetections:
    """What a backend gives for one batch of pictures."""

    detections: tuple[Detections, ...]
    """one for each picture, in the order given"""
    preprocess: float
    """seconds, whole batch"""
    detector: float
    """seconds, whole batch"""
    postprocess: float
    """seconds, whole batch"""


Ticket = NewType("Ticket", int)
"""A batch on its way; only the lane that gave it can collect it, once."""


class Lane(Protocol):
    """One model on one backend, double-buffered. Not thread-safe: one thread owns it."""

    @property
    def slots(self) -> int:
        """How many batches may be submitted and not yet collected."""

    @property
    def max_batch(self) -> int:
        """Most pictures in a batch."""

    def submit(self, pictures: Sequence[NDArray[np.uint8]]) -> Ticket:
        """Starts a batch of pictures, each [H, W, 3] BGR of any size; they must stay unchanged until collected."""

    def collect(self, ticket: Ticket) -> BatchDetections:
        """Waits for a batch. Raises BackendError where the backend failed."""

    def close(self) -> None:
        """Frees everything; batches not collected are lost."""

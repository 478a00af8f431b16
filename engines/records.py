"""Arrays that leave the engines, with coordinate space and units under each field."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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

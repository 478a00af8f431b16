"""Candidates as detectors give them and as they never should, to try NMS with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

KINDS = ("usual", "whole pixels", "half pixels", "equal", "without area", "equal scores")
THRESHOLDS = (0.0, 0.3, 0.45, 0.5, 0.6, 1.0)


@dataclass(frozen=True)
class Candidates:
    """Of a batch, scores in descending order."""

    boxes: NDArray[np.float32]
    """[B, K, 4] xyxy"""
    scores: NDArray[np.float32]
    """[B, K]"""
    labels: NDArray[np.int32]
    """[B, K]"""


def candidates(kind: str, batch: int, count: int, seed: int) -> Candidates:
    """So many of each of a batch's pictures, of one kind; the last tenth is padding."""
    rng = np.random.default_rng(seed)
    shape = (batch, count, 2)
    corner: NDArray[Any]
    size: NDArray[Any]
    corner, size = rng.uniform(-20, 600, shape), rng.exponential(60, shape)
    if kind == "whole pixels":  # many of them overlap by exactly a threshold
        corner, size = rng.integers(0, 20, shape), rng.integers(0, 11, shape)
    elif kind == "half pixels":
        corner, size = rng.integers(-40, 80, shape) / 2, rng.integers(-1, 41, shape) / 2
    elif kind == "equal":
        corner, size = np.full(shape, 3.3), np.full(shape, 5.1)
    elif kind == "without area":
        size[:, 1::3] = 0
    scores: NDArray[Any] = rng.uniform(0, 1, (batch, count))
    if kind in {"equal scores", "equal"}:
        scores = rng.integers(0, 5, (batch, count)) / 4
    best_first = -np.sort(-scores.astype(np.float32), axis=1)
    best_first[:, count - count // 10 :] = -1
    labels = rng.integers(0, rng.integers(1, 6), (batch, count), np.int32)
    return Candidates(np.concatenate([corner, corner + size], -1).astype(np.float32), best_first, labels)

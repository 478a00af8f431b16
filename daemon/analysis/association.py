"""Which of the known objects each detection is: similarity of boxes, and the best assignment. Pure."""

from __future__ import annotations

import lap
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_OTHER_LABEL_IOU = 0.5
"""from which a detection of another label may be the same object"""
_OTHER_LABEL_WEIGHT = 0.7
"""of its similarity, so that the object's own label is preferred"""


def iou(a: Floats, b: Floats) -> Floats:
    """Intersection over union of boxes [n, 4] with the boxes [n, 4] of the same row, x1 y1 x2 y2; [n]."""
    size = np.maximum(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0.0)
    size_a, size_b = a[:, 2:] - a[:, :2], b[:, 2:] - b[:, :2]
    both = size[:, 0] * size[:, 1]
    union: Floats = size_a[:, 0] * size_a[:, 1] + size_b[:, 0] * size_b[:, 1] - both
    result: Floats = both / np.maximum(union, 1e-9)
    return result


def similarity(a: Floats, b: Floats, margin: Floats | None = None) -> Floats:
    """Intersection over union of boxes [n, 4] with boxes [m, 4], x1 y1 x2 y2; [n, m].

    Both boxes are enlarged by `margin` [n, 2] of the row on each side, horizontally and vertically.
    """
    nothing = np.zeros((len(a), 1))
    horizontal, vertical = (nothing, nothing) if margin is None else (margin[:, :1], margin[:, 1:])
    both, area_a, area_b = _overlap(a[:, 0::2], b[:, 0::2], horizontal)
    other, height_a, height_b = _overlap(a[:, 1::2], b[:, 1::2], vertical)
    both *= other
    union = area_a * height_a + area_b * height_b - both
    result: Floats = both / np.maximum(union, 1e-9)
    return result


def _overlap(a: Floats, b: Floats, margin: Floats) -> tuple[Floats, Floats, Floats]:
    """Of intervals [n, 2] and [m, 2], each longer at both ends by a margin [n, 1]: overlap [n, m], and lengths."""
    low, high = a[:, :1] - margin, a[:, 1:] + margin
    low_b, high_b = b[:, 0] - margin, b[:, 1] + margin
    overlap = np.minimum(high, high_b)
    overlap -= np.maximum(low, low_b)
    np.maximum(overlap, 0.0, out=overlap)
    return overlap, high - low, high_b - low_b


def prefer_label(similar: Floats, labels: Ints, others: Ints) -> Floats:
    """Similarity [n, m], less where the labels [n] and [m] differ and none where the boxes hardly agree."""
    other = labels[:, None] != others
    if not other.any():
        return similar
    return np.where(other, np.where(similar >= _OTHER_LABEL_IOU, similar * _OTHER_LABEL_WEIGHT, 0.0), similar)


def assign(similar: Floats, least: float) -> tuple[Ints, Ints]:
    """Rows and columns of the pairs of the greatest total similarity, none below `least`.

    Pairs that are each other's only candidate are taken first: most are, and the solver gets a small matrix.
    """
    candidates = similar >= least
    of_row, of_column = candidates.sum(1), candidates.sum(0)
    alone = candidates & (of_row == 1)[:, None] & (of_column == 1)
    rows, columns = np.nonzero(alone)
    if len(rows) == np.count_nonzero(of_row):
        return rows, columns
    of_row[rows] = 0
    of_column[columns] = 0
    left, right = np.flatnonzero(of_row), np.flatnonzero(of_column)
    rest = 1.0 - similar[left[:, None], right]
    _, chosen, _ = lap.lapjv(rest, extend_cost=True, cost_limit=1.0 - least)
    paired = np.flatnonzero(chosen >= 0)
    return np.concatenate([rows, left[paired]]), np.concatenate([columns, right[chosen[paired]]])


def doubles(boxes: Floats, scores: Floats, labels: Ints, least: float) -> NDArray[np.bool_]:
    """Which boxes [n, 4] lie on a box of another label and a higher score with that IoU or more; [n]."""
    if len(labels) < 2 or (labels == labels[0]).all():
        return np.zeros(len(labels), bool)
    order = np.argsort(-scores, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    over = (similarity(boxes, boxes) > least) & (labels[:, None] != labels) & (rank[:, None] > rank)
    result = np.zeros(len(labels), bool)
    for index in order[over.any(1)[order]]:
        result[index] = bool((over[index] & ~result).any())  # what lies on a double alone is none
    return result

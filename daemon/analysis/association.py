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
    """Intersection over union of boxes [4, n], x1 y1 x2 y2, with the boxes [4, n] of the same column; [n]."""
    size = np.minimum(a[2:], b[2:])
    size -= np.maximum(a[:2], b[:2])
    np.maximum(size, 0.0, out=size)
    size_a, size_b = a[2:] - a[:2], b[2:] - b[:2]
    both: Floats = size[0] * size[1]
    union = size_a[0] * size_a[1] + size_b[0] * size_b[1] - both
    result: Floats = both / np.maximum(union, 1e-9)
    return result


def similarity(a: Floats, b: Floats, margin: Floats | None = None) -> Floats:
    """Intersection over union of boxes [4, n] with boxes [4, m], x1 y1 x2 y2; [n, m].

    Both boxes are enlarged by `margin` [2, n] of the first on each side, horizontally and vertically.
    """
    low, high = a[:2, :, None], a[2:, :, None]
    low_b, high_b = b[:2, None], b[2:, None]
    overlap, size, size_b = np.minimum(high, high_b), high - low, high_b - low_b
    overlap -= np.maximum(low, low_b)
    if margin is not None:
        twice = (margin + margin)[:, :, None]
        overlap += twice
        size += twice
        size_b = size_b + twice
    np.maximum(overlap, 0.0, out=overlap)
    both: Floats = overlap[0] * overlap[1]
    union = size[0] * size[1] + size_b[0] * size_b[1]
    union -= both
    both /= np.maximum(union, 1e-9, out=union)
    return both


def prefer_label(similar: Floats, labels: Floats, others: Ints) -> Floats:
    """Similarity [n, m], less where the labels [n] and [m] differ and none where the boxes hardly agree."""
    other = labels[:, None] != others
    if not np.count_nonzero(other):
        return similar
    return np.where(other, np.where(similar >= _OTHER_LABEL_IOU, similar * _OTHER_LABEL_WEIGHT, 0.0), similar)


def assign(similar: Floats, least: float) -> tuple[Ints, Ints]:
    """Rows and columns of the pairs of the greatest total similarity, none below `least`.

    Pairs that are each other's only candidate are taken first: most are, and the solver gets a small matrix.
    """
    rows, columns = (similar >= least).nonzero()
    of_row, of_column = np.bincount(rows), np.bincount(columns)
    alone = (of_row[rows] == 1) & (of_column[columns] == 1)
    if np.count_nonzero(alone) == len(rows):
        return rows, columns
    rows, columns = rows[alone], columns[alone]
    of_row[rows] = 0
    of_column[columns] = 0
    left, right = of_row.nonzero()[0], of_column.nonzero()[0]
    rest = 1.0 - similar[left[:, None], right]
    _, chosen, _ = lap.lapjv(rest, extend_cost=True, cost_limit=1.0 - least)
    paired = (chosen >= 0).nonzero()[0]
    return np.concatenate([rows, left[paired]]), np.concatenate([columns, right[chosen[paired]]])


def doubles(boxes: Floats, scores: Floats, labels: Ints, least: float) -> Bools | None:
    """Which boxes [4, n] lie on a box of another label and a higher score with that IoU or more; [n]; None: none."""
    if len(labels) < 2 or not np.count_nonzero(labels != labels[0]):
        return None
    over = (similarity(boxes, boxes) > least) & (labels[:, None] != labels)
    if not np.count_nonzero(over):
        return None
    order = np.argsort(-scores, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    over &= rank[:, None] > rank
    result = np.zeros(len(labels), bool)
    for index in order[over.any(1)[order]]:
        result[index] = bool((over[index] & ~result).any())  # what lies on a double alone is none
    return result

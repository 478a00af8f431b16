"""From a detector's candidates to detections: threshold, class-aware NMS, boxes back to source pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.errors import ModelError
from engines.records import Detections, Letterbox, to_source

HIGHEST_SCORE = 1.01
"""above 1 by what rounding to 8 or 16 bits may add; such scores become 1"""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The thresholds of a detection."""

    confidence: float = 0.4
    """lowest score, 0 to 1"""
    iou: float = 0.45
    """IoU threshold of NMS within a class; unused if the family needs no NMS"""
    one_class: bool = True
    """an object has its best class only; False: also the others that the model gives for the same box"""


def to_detections(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    labels: NDArray[np.int32],
    letterbox: Letterbox,
    thresholds: Thresholds,
    nms: bool,
) -> Detections:
    """Converts the candidates of one image, in descending order of score, to detections.

    boxes [K, 4] xyxy in model-input pixels, scores [K] descending, labels [K]; the result is in source pixels. Raises
    ModelError for a score above 1, where the outputs are not laid out as they were taken to be, and for NaN, as FP16
    may give where it overflows.
    """
    if len(scores):
        _check_best(scores[0])
    count = int(np.count_nonzero(scores >= thresholds.confidence))
    if np.isnan(scores).any() or np.isnan(boxes[:count]).any():
        raise _not_a_number()
    boxes, scores, labels = boxes[:count], scores[:count], labels[:count]
    if nms and count > 1:
        keep = suppress(boxes, scores, labels, thresholds.iou)
        boxes, scores, labels = boxes[keep], scores[keep], labels[keep]
    elif thresholds.one_class and not _all_differ(boxes):
        keep = _first_of_each_box(boxes)
        boxes, scores, labels = boxes[keep], scores[keep], labels[keep]
    else:
        labels = labels.copy()  # the backend reuses this memory for its next batch
    return Detections(letterbox.to_source(boxes), np.minimum(scores, 1, dtype=np.float32), labels)


def of_batch(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    labels: NDArray[np.int32],
    letterboxes: Sequence[Letterbox],
    thresholds: Thresholds,
    nms: bool,
) -> tuple[Detections, ...]:
    """As `to_detections`, of a batch of B images: boxes [B, K, 4], scores [B, K] and labels [B, K].

    Without NMS all at once, and the results share arrays.
    """
    if nms:
        candidates = zip(boxes, scores, labels, letterboxes, strict=True)
        return tuple(to_detections(*each, thresholds, nms) for each in candidates)
    _check_best(scores[:, :1].max(initial=0))
    counts = np.count_nonzero(scores >= thresholds.confidence, axis=1)
    most = int(counts.max())
    used = np.arange(most) < counts[:, None]
    if np.isnan(scores).any() or np.isnan(boxes[:, :most]).any(axis=2, where=used[..., None]).any():
        raise _not_a_number()
    found = _cut(boxes[:, :most], scores[:, :most], labels[:, :most], counts, letterboxes)
    return tuple(_of_best_classes(*each) for each in zip(found, boxes, strict=True)) if thresholds.one_class else found


def of_kept(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    labels: NDArray[np.int32],
    counts: NDArray[np.int32],
    letterboxes: Sequence[Letterbox],
    confidence: float,
) -> tuple[Detections, ...]:
    """Converts what NMS on the GPU has kept of the candidates of a batch of B images, all at once.

    boxes [B, K, 4] xyxy in model-input pixels, scores [B, K] descending, labels [B, K]; of each image the first of
    `counts` [B], which is -1 where there is a NaN, and the first score is the best one in any case. Every image costs
    as little as it can: the results share arrays. Raises what `to_detections` raises.
    """
    _check_best(scores[:, 0].max())
    kept = counts.tolist()
    if min(kept) < 0:
        raise _not_a_number()
    most = max(kept)
    enough = (scores[:, :most] >= confidence) & (np.arange(most) < counts[:, None])  # behind them are other batches'
    counts = np.count_nonzero(enough, axis=1)
    return _cut(boxes[:, :most], scores[:, :most], labels[:, :most], counts, letterboxes)


def _cut(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    labels: NDArray[np.int32],
    counts: NDArray[np.int32] | NDArray[np.intp],
    letterboxes: Sequence[Letterbox],
) -> tuple[Detections, ...]:
    """The first of `counts` [B] of each image, copied, since the backend reuses its memory for the next batch."""
    places, top, classes = to_source(boxes, letterboxes), np.minimum(scores, 1, dtype=np.float32), labels.copy()
    return tuple(Detections(places[i, :n], top[i, :n], classes[i, :n]) for i, n in enumerate(counts.tolist()))


def _of_best_classes(found: Detections, boxes: NDArray[np.float32]) -> Detections:
    """The first of each box, which are the first of `boxes`, in model-input pixels."""
    boxes = boxes[: len(found)]
    if _all_differ(boxes):
        return found
    keep = _first_of_each_box(boxes)
    return Detections(found.boxes[keep], found.scores[keep], found.labels[keep])


def _check_best(score: float | np.float32) -> None:
    """Raises ModelError where the best score is none."""
    if score > HIGHEST_SCORE:
        raise ModelError(
            f"the model gave a score of {score:.2f}, which is above 1, so its outputs are not laid out as its "
            "family says; nothing of it was reported; set another family or export the model again"
        )


def _not_a_number() -> ModelError:
    return ModelError(
        "the model gave NaN (not a number) as a score or a box; nothing of it was reported; "
        "set its precision to fp32, or export the model again"
    )


def _all_differ(boxes: NDArray[np.float32]) -> bool:
    """Whether no two of the boxes [K, 4] are equal; much faster than to sort them."""
    data, size = boxes.tobytes(), 4 * boxes.itemsize
    return len({data[at : at + size] for at in range(0, len(data), size)}) == len(boxes)


def _first_of_each_box(boxes: NDArray[np.float32]) -> NDArray[np.intp]:
    """Indices of the first of each set of equal boxes [K, 4], in ascending order; a DETR has one for each class."""
    rows = np.ascontiguousarray(boxes).view(np.dtype((np.void, 4 * boxes.itemsize)))
    return np.sort(np.unique(rows, return_index=True)[1])


def suppress(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], labels: NDArray[np.int32], iou: float
) -> NDArray[np.intp]:
    """Indices of the boxes that greedy NMS within each class keeps, in descending order of score.

    boxes [N, 4] xyxy, scores [N] descending, labels [N].
    """
    rects = boxes.astype(np.float64)
    rects[:, 2:] -= rects[:, :2]
    if len(rects):  # each class beside the others; OpenCV has a function for classes only since 4.7
        rects[:, 0] += labels * (boxes[:, 2].max() - boxes[:, 0].min() + 1.0)
    # the stubs ask for lists, the function takes arrays
    kept = cv2.dnn.NMSBoxes(rects, scores, 0.0, iou)  # type: ignore[arg-type]
    return np.sort(np.asarray(kept, np.intp))

"""From a detector's candidates to detections: threshold, class-aware NMS, boxes back to source pixels."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.records import Detections, Letterbox


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The thresholds of a detection."""

    confidence: float = 0.4
    """lowest score, 0 to 1"""
    iou: float = 0.45
    """IoU threshold of NMS within a class; unused if the family needs no NMS"""


def to_detections(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    labels: NDArray[np.int32],
    letterbox: Letterbox,
    thresholds: Thresholds,
    nms: bool,
) -> Detections:
    """Converts the candidates of one image, in descending order of score, to detections.

    boxes [K, 4] xyxy in model-input pixels, scores [K] descending, labels [K]; the result is in source pixels.
    """
    count = int(np.count_nonzero(scores >= thresholds.confidence))
    boxes, scores, labels = boxes[:count], scores[:count], labels[:count]
    if nms and count > 1:
        keep = suppress(boxes, scores, labels, thresholds.iou)
        boxes, scores, labels = boxes[keep], scores[keep], labels[keep]
    else:
        scores, labels = scores.copy(), labels.copy()  # the backend reuses this memory for its next batch
    return Detections(letterbox.to_source(boxes), scores, labels)


def suppress(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], labels: NDArray[np.int32], iou: float
) -> NDArray[np.intp]:
    """Indices of the boxes that greedy NMS within each class keeps, in descending order of score.

    boxes [N, 4] xyxy, scores [N] descending, labels [N].
    """
    rects = boxes.astype(np.float64)
    rects[:, 2:] -= rects[:, :2]
    # the stubs ask for lists, the function takes arrays
    kept = cv2.dnn.NMSBoxesBatched(rects, scores, labels, 0.0, iou)  # type: ignore[arg-type]
    return np.sort(np.asarray(kept, np.intp))

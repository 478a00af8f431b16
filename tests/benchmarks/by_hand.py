"""Letterbox and NMS as people write them, with OpenCV and NumPy."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def letterboxed(picture: NDArray[np.uint8], width: int, height: int) -> NDArray[np.float32]:
    """[1, 3, height, width] RGB, 0 to 1."""
    scale = min(width / picture.shape[1], height / picture.shape[0])
    new = round(picture.shape[1] * scale), round(picture.shape[0] * scale)
    left, top = (width - new[0]) // 2, (height - new[1]) // 2
    canvas = cv2.copyMakeBorder(
        cv2.resize(picture, new), top, height - new[1] - top, left, width - new[0] - left, cv2.BORDER_CONSTANT,
        value=(114, 114, 114),
    )  # fmt: skip
    image = cv2.cvtColor(canvas, cv2.COLOR_BGR2RGB).astype(np.float32) / 255.0
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None])


def suppressed(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], labels: NDArray[np.int32], overlap: float = 0.45
) -> list[int]:
    """Greedy NMS within each class; indices of what is kept."""
    kept: list[int] = []
    order = list(np.argsort(-scores))
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    while order:
        best = int(order.pop(0))
        kept.append(best)
        rest = np.array(order, int)
        low = np.maximum(boxes[best, :2], boxes[rest, :2])
        high = np.minimum(boxes[best, 2:], boxes[rest, 2:])
        inside = np.clip(high - low, 0, None).prod(axis=1)
        ratio = inside / (areas[best] + areas[rest] - inside)
        order = list(rest[(ratio <= overlap) | (labels[rest] != labels[best])])
    return kept

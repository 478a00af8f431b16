"""Published detections against the truth of the street: recall and precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.demo.street.generator import COUNTS_FROM, LABELS, Truth

_IOU = 0.5


@dataclass(frozen=True, slots=True)
class Score:
    """Counts over any number of frames."""

    hits: int = 0
    misses: int = 0
    false_alarms: int = 0

    @property
    def recall(self) -> float:
        """Part of the objects that were found; 0 where there were none."""
        return self.hits / max(1, self.hits + self.misses)

    @property
    def precision(self) -> float:
        """Part of the detections that were objects; 0 where there were none."""
        return self.hits / max(1, self.hits + self.false_alarms)

    def __add__(self, other: Score) -> Score:
        return Score(self.hits + other.hits, self.misses + other.misses, self.false_alarms + other.false_alarms)


@dataclass(frozen=True, slots=True)
class Seen:
    """One published detection."""

    label: str
    score: float
    box: tuple[float, float, float, float]
    """xyxy, source pixels"""
    track: str | None = None
    """identifier of the object that it is"""


def seen_in(message: Mapping[str, Any]) -> list[Seen]:
    """The objects of a message of a detections topic."""
    return [Seen(o["label"], o["score"], tuple(o["box"]), o.get("track_id")) for o in message["objects"]]


def score(truths: Sequence[Truth], seen: Sequence[Seen]) -> Score:
    """One frame. Objects of which less than COUNTS_FROM is visible may be found or not."""
    found = [truth for truth, _ in pairs(truths, seen)]
    hits = sum(truth.visible >= COUNTS_FROM for truth in found)
    return Score(hits, sum(truth.visible >= COUNTS_FROM for truth in truths) - hits, len(seen) - len(found))


def pairs(truths: Sequence[Truth], seen: Sequence[Seen]) -> list[tuple[Truth, Seen]]:
    """Each detection, best first, takes the free object of its class that it overlaps most, from IoU 0.5."""
    free, found = list(truths), []
    for detection in sorted(seen, key=lambda s: -s.score):
        same = [t for t in free if LABELS[t.label] == detection.label]
        overlaps = _iou(np.array(detection.box), np.array([t.box for t in same]).reshape(-1, 4))
        if same and overlaps.max() >= _IOU:
            truth = same[int(overlaps.argmax())]
            free.remove(truth)
            found.append((truth, detection))
    return found


def _iou(box: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """[N] overlaps of one box with others [N, 4], xyxy."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    inside = np.clip(high - low, 0, None).prod(axis=1)
    area = (box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(axis=1)
    overlap: NDArray[np.float64] = inside / np.maximum(area - inside, 1e-9)
    return overlap

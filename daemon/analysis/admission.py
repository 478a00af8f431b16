"""Which detections may begin an object, and which count in which zone. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from daemon.analysis.association import Bools, Floats, Ints
from daemon.analysis.geometry import View
from daemon.config.tracking import ObjectFilter, Sizes, Zone

_ANY = ObjectFilter()
_NO_SIZES = Sizes().model_dump(exclude={"min_score"})


def passes(sizes: Sizes, boxes: Floats, scores: Floats, view: View) -> Bools:
    """Which boxes [n, 4] are of the right score and size; [n]."""
    size = boxes[:, 2:] - boxes[:, :2]
    width, height = size[:, 0], size[:, 1]
    area = width * height / (view.width * view.height)
    result: Bools = (scores >= sizes.min_score) & (height >= sizes.min_height * view.height)
    result &= (area >= sizes.min_area) & (area <= sizes.max_area) & (width >= sizes.min_ratio * height)
    if sizes.max_ratio is not None:
        result &= width <= sizes.max_ratio * height
    return result


class Beginning:
    """Which detections are strong: those that may begin an object."""

    def __init__(
        self,
        labels: Sequence[str],
        confidence: float,
        wanted: Sequence[str] | None,
        filters: Mapping[str, ObjectFilter],
    ) -> None:
        """`wanted` are the classes that are tracked; None: all."""
        chosen = [filters.get(label, _ANY) for label in labels]
        self._least = np.array([max(confidence, each.min_score) for each in chosen])
        if wanted is not None:
            self._least[[label not in wanted for label in labels]] = np.inf
        self._sized = [
            (index, each) for index, each in enumerate(chosen) if each.model_dump(include=set(_NO_SIZES)) != _NO_SIZES
        ]
        self.wanted = np.isfinite(self._least)
        """by class index: whether it is followed at all"""
        self.thresholds = [each.threshold for each in chosen]

    def strong(self, boxes: Floats, scores: Floats, labels: Ints, view: View) -> Bools:
        """Of detections [n]."""
        result: Bools = scores >= self._least[labels]
        for index, sizes in self._sized:
            result &= (labels != index) | passes(sizes, boxes, scores, view)
        return result


class ZoneAdmission:
    """In which zones a detection counts."""

    def __init__(self, labels: Sequence[str], zones: Mapping[str, Zone]) -> None:
        self.by_label = [
            sum(1 << index for index, zone in enumerate(zones.values()) if zone.labels is None or label in zone.labels)
            for label in labels
        ]
        """by class index: the zones in which it counts, a bit each"""
        self._sized = [
            (~(1 << index), zone)
            for index, zone in enumerate(zones.values())
            if zone.min_score > 0 or zone.model_dump(include=set(_NO_SIZES)) != _NO_SIZES
        ]

    def by_size(self, boxes: Floats, scores: Floats, view: View) -> list[int]:
        """Of detections [n]: the zones whose scores and sizes they have, a bit each."""
        if not self._sized:
            return [-1] * len(boxes)
        result = np.full(len(boxes), -1, np.int64)
        for without, zone in self._sized:
            result[~passes(zone, boxes, scores, view)] &= without
        admitted: list[int] = result.tolist()
        return admitted

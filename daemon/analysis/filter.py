"""Which of a model's candidates are published of a camera: by score and class. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from daemon.config.schema import Config
from daemon.records import FrameResult
from daemon.records.followed import Followed
from engines.records import Detections


class DetectionFilter:
    """Of one camera. Not thread-safe."""

    def __init__(self, confidence: float, labels: tuple[str, ...] | None) -> None:
        """`confidence`: least score, 0 to 1; `labels`: class names, None: all."""
        self._confidence = confidence
        self._labels = labels
        self._names: tuple[str, ...] = ()
        self._class_ids: NDArray[np.int32] = np.empty(0, np.int32)
        """those of `labels` among `_names`"""

    def of(self, result: FrameResult, objects: Sequence[Followed | None] | None) -> FrameResult:
        """The result with the candidates that are published, and the objects that these are."""
        found = result.detections
        keep = self._kept(found, result.labels)
        if objects is not None:
            objects = tuple(itertools.compress(objects, keep.tolist()))
        if not keep.all():
            found = Detections(found.boxes[keep], found.scores[keep], found.labels[keep])
        return replace(result, detections=found, objects=objects)

    def _kept(self, found: Detections, names: tuple[str, ...]) -> NDArray[np.bool_]:
        """Which of the candidates are published; `names` are the model's classes, which change when it is exchanged."""
        keep: NDArray[np.bool_] = found.scores >= self._confidence
        if self._labels is not None:
            if names is not self._names:
                self._names = names
                self._class_ids = np.array([names.index(one) for one in self._labels if one in names], np.int32)
            keep &= np.isin(found.labels, self._class_ids)
        return keep


def filters_of(config: Config) -> Mapping[str, DetectionFilter]:
    """Of every camera, as configured."""
    return {
        name: DetectionFilter(confidence_of(config, name), camera.labels) for name, camera in config.cameras.items()
    }


def confidence_of(config: Config, camera: str) -> float:
    """Least score that is published of a camera, 0 to 1: its own, or its model's."""
    settings = config.cameras[camera]
    return config.models[settings.model].confidence if settings.confidence is None else settings.confidence


def score_floor(config: Config, model: str) -> float:
    """Least score of the candidates that a model is asked for, 0 to 1: the lowest that one of its cameras needs.

    That is its `confidence`, or `low_score` where objects are followed. Not lower: on a GPU, NMS of candidates that
    nobody needs takes more of the interpreter's time than everything else done for a frame (docs/benchmarks.md).
    """
    cameras = [name for name, camera in config.cameras.items() if camera.model == model]
    low = [tracking.low_score for name in cameras if (tracking := config.tracking_of(name)) is not None]
    return min([*(confidence_of(config, name) for name in cameras), *low], default=1.0)

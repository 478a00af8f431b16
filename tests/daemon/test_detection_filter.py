"""Analysis sees every candidate above a low floor; published is what a camera's `confidence` and labels leave."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from daemon.analysis.filter import DetectionFilter, score_floor
from daemon.config.schema import Config
from daemon.records.followed import Followed
from engines.records import Detections
from tests.daemon.publishing import result

NAMES = ("person", "bicycle", "car")
FOUND = Detections(
    boxes=np.arange(16, dtype=np.float32).reshape(4, 4),
    scores=np.array([0.9, 0.5, 0.3, 0.1], np.float32),
    labels=np.array([2, 0, 2, 1], np.int32),
)


@pytest.mark.parametrize(
    ("confidence", "labels", "kept"),
    [
        (0.0, None, [0, 1, 2, 3]),
        (0.5, None, [0, 1]),
        (0.0, ("car",), [0, 2]),
        (0.4, ("car", "bicycle"), [0]),
        (0.0, (), []),
        (0.0, ("a class that only the next model has",), []),
    ],
)
def test_score_and_class_decide(confidence: float, labels: tuple[str, ...] | None, kept: list[int]) -> None:
    objects = tuple(Followed(str(number), number, stationary=False, zones=()) for number in range(4))
    inferred = replace(result(), labels=NAMES, detections=FOUND)
    found = DetectionFilter(confidence, labels).of(inferred, objects)
    assert found.detections.boxes.tolist() == FOUND.boxes[kept].tolist()
    assert found.detections.scores.tolist() == FOUND.scores[kept].tolist()
    assert found.detections.labels.tolist() == FOUND.labels[kept].tolist()
    assert found.objects == tuple(objects[index] for index in kept)
    assert DetectionFilter(confidence, labels).of(inferred, None).objects is None


def test_an_exchanged_model_may_number_its_classes_otherwise() -> None:
    only_cars = DetectionFilter(0.0, ("car",))
    for names, kept in ((NAMES, [0, 2]), (("car", "person", "bicycle"), [1])):
        found = only_cars.of(replace(result(), labels=names, detections=FOUND), None)
        assert found.detections.scores.tolist() == FOUND.scores[kept].tolist()


@pytest.mark.parametrize(
    ("model", "camera", "floor"),
    [
        (0.5, {}, 0.5),
        (0.5, {"confidence": 0.02}, 0.02),
        (0.01, {"confidence": 0.9}, 0.9),
        (0.5, {"tracking": {}}, 0.1),
        (0.5, {"tracking": {"low_score": 0.3}}, 0.3),
        (0.5, {"tracking": {"low_score": 0.3}, "confidence": 0.2}, 0.2),
    ],
)
def test_the_floor_is_the_lowest_score_that_a_camera_needs(model: float, camera: dict[str, Any], floor: float) -> None:
    config = Config.model_validate(
        {
            "device": "box",
            "mqtt": {"host": "localhost"},
            "models": {"default": {"confidence": model}, "other": {"confidence": 0.001}},
            "cameras": {"a": {"source": "rtsp://a/1", **camera}, "b": {"source": "rtsp://b/1", "model": "other"}},
        }
    )
    assert score_floor(config, "default") == floor

"""Accuracy as COCO measures it, against published figures, and agreement of two sessions."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from daemon.demo.street.generator import StreetScene
from engines.errors import EvaluationError, ImageError
from engines.evaluate.accuracy import COCO_THRESHOLDS, coco_accuracy
from engines.evaluate.verify import (
    EVERY_CANDIDATE,
    Comparison,
    GraphReference,
    OutputError,
    compare,
    compare_candidates,
    output_error,
)
from engines.model import read_model
from engines.models import street_onnx
from engines.onnx_runtime import OnnxRuntimeSession
from engines.postprocess import Thresholds
from engines.records import Detections
from tests.conftest import telling
from tests.reference import MODELS


@pytest.mark.parametrize("name", sorted(MODELS))
def test_accuracy_is_what_the_reference_measured(name: str, material: Path) -> None:
    """The candidates that leave the graph, fewer than all, cost no accuracy."""
    model = read_model(material / "models" / f"{name}.onnx", labels="coco")
    expected = json.loads((material / "expected" / "map_coco_val2017_128.json").read_text())
    folder = material / "labelled" / "coco_val2017_128"
    session = OnnxRuntimeSession(model, COCO_THRESHOLDS, max_batch=1)
    told: list[float] = []
    accuracy = coco_accuracy(session, model.labels, folder / "instances_from_yolo.json", folder / "images", told.append)
    session.close()
    assert accuracy.images == 128
    assert accuracy.map50_95 == pytest.approx(expected[f"models/{name}.onnx"]["val"]["mAP50_95"], abs=0.005)
    assert accuracy.map50 == pytest.approx(expected[f"models/{name}.onnx"]["val"]["mAP50"], abs=0.005)
    assert accuracy.ap50["person"] == pytest.approx(expected[f"models/{name}.onnx"]["val"]["person_AP50"], abs=0.01)
    assert told == sorted(told)
    assert told[-1] == 1.0


@pytest.fixture
def session() -> OnnxRuntimeSession:
    return OnnxRuntimeSession(read_model(street_onnx()), Thresholds(0.1, 0.5), max_batch=2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "{file}: cannot be read: No such file or directory"),
        ("{", "{file}: is not JSON; give COCO's instances file"),
        ("[]", "{file}: has no images, annotations and categories; give COCO's instances file"),
        (
            '{"images": [{"id": 1, "file_name": "a"}], "annotations": [], "categories": [{"id": 1}]}',
            "{file}: one of its categories has no 'name'; give COCO's instances file",
        ),
        (
            '{"images": [], "annotations": [], "categories": [{"id": 1, "name": "otter"}, {"id": 2, "name": "owl"}]}',
            "{file}: none of its categories (otter, owl) is a class of the model (car, bus, truck, …)",
        ),
    ],
)
def test_unusable_annotations_are_refused(
    session: OnnxRuntimeSession, tmp_path: Path, content: str | None, message: str
) -> None:
    file = tmp_path / "instances.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(EvaluationError, match=f"^{re.escape(message.format(file=file))}$"):
        coco_accuracy(session, ("car", "bus", "truck", "person"), file, tmp_path)


def test_annotations_without_ids_are_accepted(session: OnnxRuntimeSession, tmp_path: Path) -> None:
    """What a session sees best is the whole truth here, so that it is perfect; pycocotools would not count number 0."""
    picture = StreetScene(640, 360, seed=5).render(4.0)[0]
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    found = session.collect(session.submit([picture])).detections[0]
    x1, y1, x2, y2 = map(float, found.boxes[0])
    box = [x1, y1, x2 - x1, y2 - y1]
    truth = {
        "images": [{"id": 0, "file_name": "a.png"}],
        "annotations": [{"id": 0, "image_id": 0, "category_id": 0, "bbox": box, "area": box[2] * box[3]}],
        "categories": [{"id": 0, "name": "best"}],
    }
    (tmp_path / "instances.json").write_text(json.dumps(truth))
    labels = ["best" if label == found.labels[0] else "other" for label in range(5)]
    accuracy = coco_accuracy(session, labels, tmp_path / "instances.json", tmp_path)
    assert accuracy.images == 1
    assert accuracy.ap50["best"] == pytest.approx(1.0)
    assert accuracy.map50_95 == pytest.approx(1.0)


def test_a_missing_image_is_reported(session: OnnxRuntimeSession, tmp_path: Path) -> None:
    file = tmp_path / "instances.json"
    image = {"id": 1, "file_name": "a.jpg"}
    file.write_text(json.dumps({"images": [image], "annotations": [], "categories": [{"id": 1, "name": "car"}]}))
    with pytest.raises(ImageError, match=telling(tmp_path / "a.jpg")):
        coco_accuracy(session, ("car",), file, tmp_path)


def test_a_session_agrees_with_the_graphs_of_the_engines() -> None:
    model = read_model(street_onnx())
    scene = StreetScene(model.width, model.height, seed=5)  # of a size that is not resized
    pictures = [scene.render(t)[0] for t in (1.0, 4.0, 9.0)]
    session = OnnxRuntimeSession(model, EVERY_CANDIDATE, max_batch=2)
    seen = list(compare(GraphReference(model), session, pictures, overlap=0.45))
    session.close()
    assert len(seen) == 3
    assert all(comparison.agrees for comparison, _ in seen)
    assert 3 < sum(comparison.expected for comparison, _ in seen) < 60  # NMS left one of each object
    assert all(error.score < 1e-4 and error.box < 0.1 for _, error in seen)


Row: TypeAlias = tuple[float, float, float, float, float, int]


def detections(*rows: Row) -> Detections:
    table: NDArray[np.float32] = np.array(rows, np.float32).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(np.int32))


CAR = (0.0, 0.0, 100.0, 100.0, 0.9, 1)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (detections(CAR), Comparison(1, 0, 0, 0, 1.0, 0.0)),
        (detections(), Comparison(1, 1, 0, 0, 0.0, 0.9)),
        (detections((0.0, 0.0, 100.0, 90.0, 0.9, 1)), Comparison(1, 1, 1, 0, 0.9, 0.0)),
        (detections((0.0, 0.0, 100.0, 100.0, 0.8, 1)), Comparison(1, 1, 1, 0, 1.0, 0.1)),
        (detections((0.0, 0.0, 100.0, 100.0, 0.9, 2)), Comparison(1, 1, 1, 0, 0.0, 0.9)),
        (detections(CAR, (300.0, 0.0, 400.0, 100.0, 0.515, 1)), Comparison(1, 0, 0, 0, 1.0, 0.0)),
        (detections(CAR, (300.0, 0.0, 400.0, 100.0, 0.6, 1)), Comparison(1, 0, 1, 0, 1.0, 0.0)),
    ],
    ids=["same", "missed", "moved", "score", "class", "just above the least", "unexpected"],
)
def test_what_counts_as_agreement(found: Detections, expected: Comparison) -> None:
    got = compare_candidates(detections(CAR), found, overlap=None)
    counts = got.expected, got.missed, got.unexpected, got.ties
    assert counts == (expected.expected, expected.missed, expected.unexpected, expected.ties)
    assert got.worst_iou == pytest.approx(expected.worst_iou, abs=1e-6)
    assert got.worst_score == pytest.approx(expected.worst_score, abs=1e-6)


LEFT, RIGHT = (0.0, 0.0, 100.0, 100.0), (8.0, 0.0, 108.0, 100.0)
"""each overlaps the other by 0.85, so that NMS keeps the better"""


@pytest.mark.parametrize(
    ("wanted", "found", "expected"),
    [
        ([(*LEFT, 0.71, 1), (*RIGHT, 0.70, 1)], [(*RIGHT, 0.71, 1), (*LEFT, 0.70, 1)], (1, 0, 0, 2)),
        ([(*LEFT, 0.71, 1), (*RIGHT, 0.70, 1)], [(*RIGHT, 0.74, 1), (*LEFT, 0.70, 1)], (1, 1, 1, 0)),
        ([(*LEFT, 0.71, 1), (*RIGHT, 0.70, 1)], [(*RIGHT, 0.71, 1)], (1, 1, 0, 1)),
        ([(*LEFT, 0.71, 1), (*RIGHT, 0.70, 1)], [(*RIGHT, 0.71, 1), (*LEFT, 0.70, 2)], (1, 1, 1, 1)),
    ],
    ids=["tie", "not close", "not seen", "another class"],
)
def test_ties_of_nms_are_no_difference(
    wanted: list[Row], found: list[Row], expected: tuple[int, int, int, int]
) -> None:
    got = compare_candidates(detections(*wanted), detections(*found), overlap=0.45)
    assert (got.expected, got.missed, got.unexpected, got.ties) == expected


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (detections(CAR), OutputError(0.0, 0.0)),
        (detections(), OutputError(0.0, math.inf)),
        (detections((0.0, 3.0, 100.0, 98.0, 0.8, 2)), OutputError(0.1, 3.0)),
        (detections((300.0, 0.0, 400.0, 100.0, 0.95, 1), CAR), OutputError(0.89, 0.0)),
    ],
    ids=["same", "nothing", "moved", "one more"],
)
def test_output_error(found: Detections, expected: OutputError) -> None:
    got = output_error(detections(CAR, (0.0, 0.0, 9.0, 9.0, 0.01, 1)), found)
    assert got.score == pytest.approx(expected.score, abs=1e-6)
    assert got.box == pytest.approx(expected.box, abs=1e-4)

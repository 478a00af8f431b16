"""Heads of DETRs, SSD and models with NMS inside against an independent decoding in NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from engines.model import read_model
from tests.engines.decoding import (
    HEIGHT,
    SIZE,
    WIDTH,
    Array,
    agree,
    from_centre,
    numbers,
    pixel_rows,
    read,
    run,
    sigmoid,
)
from tests.engines.making import Making


def listed_rows(count: int, classes: int) -> tuple[Array, Array, NDArray[np.int64]]:
    """Boxes [1, N, 4] xyxy in pixels, scores [1, N] and labels [1, N]."""
    rows = pixel_rows(count, 5)
    boxes = np.array([from_centre(*row[:4]) for row in rows[0]], np.float32)[None]
    return boxes, rows[..., 4], np.random.default_rng(1).integers(0, classes, (1, count))


def as_listed(boxes: Array, scores: Array, labels: NDArray[Any]) -> list[tuple[list[float], float, int]]:
    return [(list(b), s, int(n)) for b, s, n in zip(boxes[0], scores[0], labels[0], strict=True)]


@pytest.mark.parametrize("count", [300, 100, 500])
@pytest.mark.parametrize("open_shape", [False, True])
def test_yolov10(tmp_path: Path, count: int, open_shape: bool) -> None:
    boxes, scores, labels = listed_rows(count, 2)
    rows = np.concatenate([boxes, scores[..., None], labels[..., None]], axis=2).astype(np.float32)
    declared = {"output0": ("batch", "detections", "columns")} if open_shape else {}
    model = read(tmp_path, Making({"output0": rows}, declared=declared, size=SIZE), "yolov10")
    found = run(model)
    assert len(found.scores) == min(300, count)
    agree(found, as_listed(boxes, scores, labels))


def test_classes_without_a_name_are_not_reported(tmp_path: Path) -> None:
    boxes, scores, labels = listed_rows(50, 5)
    rows = np.concatenate([boxes, scores[..., None], labels[..., None]], axis=2).astype(np.float32)
    found = run(read(tmp_path, Making({"output0": rows}, size=SIZE), "yolov10"))
    named = [candidate for candidate in as_listed(boxes, scores, labels) if candidate[2] < 2]
    assert 0 < len(named) < 50
    assert (found.scores[len(named) :] == -1).all()
    agree(found.best(len(named)), named)


@pytest.mark.parametrize("label_type", [np.int64, np.int32, np.float32])
@pytest.mark.parametrize("batch", [1, "N"])
def test_detr(tmp_path: Path, label_type: Any, batch: int | str) -> None:
    """Told the size of its input, width first: boxes leave in its pixels. Its outputs are in an unusual order."""
    boxes, scores, labels = listed_rows(100, 2)
    unit = (boxes / (WIDTH, HEIGHT, WIDTH, HEIGHT)).astype(np.float32)
    outputs = {"scores": scores, "unit": unit, "labels": labels.astype(label_type)}
    making = Making(outputs, size=(batch, *SIZE[1:]))
    proto = making.proto()
    proto.graph.input.append(helper.make_tensor_value_info("orig_target_sizes", TensorProto.INT64, [batch, 2]))
    proto.graph.node.extend(
        [
            helper.make_node("Concat", ["orig_target_sizes", "orig_target_sizes"], ["four"], axis=1),
            helper.make_node("Cast", ["four"], ["real"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["unit", "real"], ["boxes"]),
        ]
    )
    proto.graph.output[1].name = "boxes"
    file = tmp_path / "m.onnx"
    file.write_bytes(proto.SerializeToString())
    model = read_model(file)
    assert model.family.name == "detr"
    agree(run(model), as_listed(boxes, scores, labels))


def pairs(logits: Array, boxes: Array) -> list[tuple[list[float], float, int]]:
    """Boxes centre and size from 0 to 1."""
    return [
        (from_centre(*(box * (WIDTH, HEIGHT, WIDTH, HEIGHT))), sigmoid(score), label)
        for of_query, box in zip(logits[0], boxes[0], strict=True)
        for label, score in enumerate(of_query)
    ]


@pytest.mark.parametrize(
    ("logits_name", "boxes_name", "classes"),
    [("pred_logits", "pred_boxes", 2), ("logits", "pred_boxes", 4), ("b", "a", 2), ("labels", "dets", 2)],
)
def test_detr_raw(tmp_path: Path, logits_name: str, boxes_name: str, classes: int) -> None:
    logits, boxes = numbers(1, 100, classes, low=-6, high=2), numbers(1, 100, 4)
    names = {"names": str([f"class {n}" for n in range(classes)])}
    outputs = {boxes_name: boxes, logits_name: logits}
    model = read(tmp_path, Making(outputs, size=SIZE, aside=["GridSample"], metadata=names), "detr-raw")
    assert model.geometry.mean[0] == (123.675 if boxes_name == "dets" else 0.0)
    agree(run(model), pairs(logits, boxes))


def test_detr_raw_in_one_output(tmp_path: Path) -> None:
    logits, boxes = numbers(1, 300, 2, low=-6, high=2), numbers(1, 300, 4)
    rows = np.concatenate([boxes, sigmoid(logits)], axis=2).astype(np.float32)
    model = read(tmp_path, Making({"output0": rows}, size=SIZE, aside=["GridSample", "TopK"]), "detr-raw")
    agree(run(model), pairs(logits, boxes))


def test_detr_raw_with_category_ids(tmp_path: Path) -> None:
    """91 columns, COCO's ids with their gaps: 1 is person, 13 a stop sign, 90 a toothbrush, 12 nothing."""
    logits, boxes = np.full((1, 100, 91), -9, np.float32), numbers(1, 100, 4)
    logits[0, [3, 4, 5, 6], [1, 13, 90, 12]] = [4, 3, 2, 9]
    making = Making({"logits": logits, "pred_boxes": boxes}, size=SIZE, aside=["GridSample"], metadata={})
    model = read(tmp_path, making, "detr-raw", labels="coco")
    found = run(model)
    assert [model.labels[label] for label in found.labels[:3]] == ["person", "stop sign", "toothbrush"]
    assert np.allclose(found.scores[:4], sigmoid(np.array([4, 3, 2, -9])), rtol=1e-3)


LITE = "TFLite_Detection_PostProcess"
OBJECT_DETECTION_API = ("detection_boxes", "detection_classes", "detection_scores", "num_detections")
SSD_LAYOUTS = {
    # boxes, classes, scores, count; the first class
    "lite": ((LITE, f"{LITE}:1", f"{LITE}:2", f"{LITE}:3"), [3, 2, 1, 0], 0),
    "tensorflow": (
        ("detection_boxes:0", "detection_classes:0", "detection_scores:0", "num_detections:0"),
        [1, 0, 2, 3],
        1,
    ),
    "as version 1": (("a", "b", "c", "d"), [0, 1, 2, 3], 0),
    "as version 2": (("a", "b", "c", "d"), [2, 0, 3, 1], 0),
}


def ssd(layout: str, labels: NDArray[Any], dtype: int = TensorProto.UINT8) -> tuple[Making, Array, Array]:
    """An SSD of twelve boxes, of which the last two are none; and its boxes in pixels and scores."""
    boxes, scores, _ = listed_rows(12, 2)
    unit = (boxes / (WIDTH, HEIGHT, WIDTH, HEIGHT))[..., [1, 0, 3, 2]]
    names, order, first = SSD_LAYOUTS[layout]
    values = (unit, labels + first, scores, np.array([10.0]))
    outputs = {names[role]: values[role].astype(np.float32) for role in order}
    making = Making(outputs, size=(1, HEIGHT, WIDTH, 3), dtype=dtype)
    return making, boxes[:, :10], scores[:, :10]


@pytest.mark.parametrize("layout", SSD_LAYOUTS)
def test_ssd(tmp_path: Path, layout: str) -> None:
    labels = np.arange(12)[None] % 2
    making, boxes, scores = ssd(layout, labels)
    found = run(read(tmp_path, making, "ssd"))
    assert (found.scores[10:] == -1).all()
    agree(found.best(10), as_listed(boxes, scores, labels[:, :10]))


@pytest.mark.parametrize(
    ("setting", "names"),
    [
        ("coco", {0: "person", 12: "stop sign", 89: "toothbrush"}),
        ("file", {0: "person", 12: "stop sign", 89: "toothbrush"}),
    ],
)
def test_ssd_with_category_ids(tmp_path: Path, setting: str, names: dict[int, str]) -> None:
    """Classes 11 and 95 have no name in COCO's list; TensorFlow's own begins with ??? for the category 0."""
    labels = np.array([[0, 12, 89, 11, 95, 0, 12, 89, 11, 95, 0, 0]])
    making, _, scores = ssd("lite", labels)
    if setting == "file":
        lines = ["???"] * 91
        for category, name in ((1, "person"), (13, "stop sign"), (90, "toothbrush")):
            lines[category] = name
        (tmp_path / "names.txt").write_text("\n".join(lines))
        setting = str(tmp_path / "names.txt")
    model = read(tmp_path, making, "ssd", labels=setting)
    found = run(model)
    expected = sorted(((s, names[n]) for s, n in zip(scores[0], labels[0], strict=False) if n in names), reverse=True)
    assert [model.labels[label] for label in found.labels[:6]] == [name for _, name in expected]
    assert (found.scores[6:] == -1).all()


def test_ssd_with_float_input_is_fed_minus_one_to_one(tmp_path: Path) -> None:
    making, _, _ = ssd("lite", np.zeros((1, 12)), TensorProto.FLOAT)
    geometry = read(tmp_path, making, "ssd").geometry
    assert (geometry.mean, geometry.std) == ((127.5,) * 3, (127.5,) * 3)


@pytest.mark.parametrize("unbatched", [False, True])
@pytest.mark.parametrize("counts", [False, True])
def test_mmdet(tmp_path: Path, unbatched: bool, counts: bool) -> None:
    """How many boxes there are may vary with the picture: then there is room for as many as can leave."""
    boxes, scores, labels = listed_rows(20, 2)
    outputs = {"labels": labels, "dets": np.concatenate([boxes, scores[..., None]], axis=2)}
    declared: dict[str, Any] = {"labels": (1, "n"), "dets": (1, "n", 5)} if counts else {}
    if unbatched:
        outputs = {name: values[0] for name, values in outputs.items()}
        declared = {name: shape[1:] for name, shape in declared.items()}
    making = Making(outputs, declared=declared, size=SIZE, aside=["NonMaxSuppression"] * counts)
    found = run(read(tmp_path, making, "mmdet"))
    assert len(found.scores) == (300 if counts else 20)
    assert (found.scores[20:] == -1).all()
    agree(found.best(20), as_listed(boxes, scores, labels))

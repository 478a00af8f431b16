"""Layouts of exporters with lists of objects, or with boxes and scores, against an independent decoding in NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from engines.errors import ModelError
from engines.labels import COCO
from engines.model import read_model
from engines.records import Fit
from tests.engines.decoding import GRID, HEIGHT, SIZE, WIDTH, Array, agree, from_centre, numbers, read, run
from tests.engines.making import TWO_NAMES, Making
from tests.engines.test_heads_lists import as_listed, listed_rows

PIXELS = np.array([WIDTH, HEIGHT, WIDTH, HEIGHT], np.float32)


def logits_of(scores: Array) -> Array:
    return np.asarray(np.log(scores / (1 - scores)), np.float32)


def as_rows(boxes: Array, scores: Array, labels: Any) -> Array:
    return np.concatenate([boxes, scores[..., None], labels[..., None]], axis=2).astype(np.float32)


def test_rtdetr_of_ultralytics(tmp_path: Path) -> None:
    """Boxes cxcywh from 0 to 1, and the class after the score: no two classes."""
    unit, scores = numbers(1, 100, 4), numbers(1, 100)
    labels = np.random.default_rng(1).integers(0, 2, (1, 100))
    making = Making({"output0": as_rows(unit, scores, labels)}, {"output0": "TopK"}, size=SIZE, aside=["GridSample"])
    boxes = np.array([[from_centre(*(box * PIXELS)) for box in unit[0]]], np.float32)
    agree(run(read(tmp_path, making, "rtdetr")), as_listed(boxes, scores, labels))


@pytest.mark.parametrize("softmaxed", [False, True])
def test_detr_with_softmax(tmp_path: Path, softmaxed: bool) -> None:
    """The last column is for no object, and a query is one object."""
    logits, boxes = numbers(1, 50, 3, low=-4, high=4), numbers(1, 50, 4)
    scores = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    making = Making({"logits": logits, "pred_boxes": boxes}, {"logits": "Softmax"} if softmaxed else {}, size=SIZE)
    expected = [
        (from_centre(*(box * PIXELS)), row[:2].max(), int(row[:2].argmax()))
        for box, row in zip(boxes[0], scores[0], strict=True)
    ]
    model = read(tmp_path, making, "detr-softmax")
    agree(run(model), expected)
    assert model.geometry.mean[0] == pytest.approx(123.675)


def test_detr_with_softmax_and_category_ids(tmp_path: Path) -> None:
    logits, boxes = np.full((1, 50, 92), -9, np.float32), numbers(1, 50, 4)
    logits[..., 91] = 3
    logits[0, [3, 4, 5], [1, 13, 90]] = [9, 8, 7]
    making = Making({"logits": logits, "pred_boxes": boxes}, size=SIZE, metadata={})
    model = read(tmp_path, making, "detr-softmax", labels="coco")
    assert [model.labels[label] for label in run(model).labels[:3]] == ["person", "stop sign", "toothbrush"]


def test_sigmoid_or_softmax_is_not_guessed(tmp_path: Path) -> None:
    """As many columns as names, and nothing tells whether the last one is a class."""
    making = Making({"logits": numbers(1, 50, 2), "pred_boxes": numbers(1, 50, 4)}, size=SIZE)
    file = making.save(tmp_path / "m.onnx")
    with pytest.raises(ModelError, match=r"set family to .* detr-raw"):
        read_model(file)
    assert read_model(file, "detr-raw").family.name == "detr-raw"


def test_deepstream(tmp_path: Path) -> None:
    """A row for each cell, so its boxes need NMS; two classes would have the same shape."""
    boxes, scores, labels = listed_rows(len(GRID), 2)
    model = read(
        tmp_path, Making({"output": as_rows(boxes, scores, labels)}, {"output": "ArgMax"}, size=SIZE), "deepstream-yolo"
    )
    assert model.family.nms
    agree(run(model), as_listed(boxes, scores, labels))
    with pytest.raises(ModelError, match="has a row for each cell, so its boxes still need NMS"):
        read_model(tmp_path / "m.onnx", "yolov10")


@pytest.mark.parametrize(
    ("family", "prefix", "names"),
    [
        ("end2end", "", ("num_dets", "det_boxes", "det_scores", "det_classes")),
        ("yolo-nas", "graph2_", ("num_predictions", "pred_boxes", "pred_scores", "pred_classes")),
    ],
)
@pytest.mark.parametrize("in_order", [True, False])
def test_counted(tmp_path: Path, family: str, prefix: str, names: tuple[str, ...], in_order: bool) -> None:
    """Rows after the count are padding, whatever they hold."""
    boxes, scores, labels = listed_rows(30, 2)
    arrays = np.array([[20]], np.int32), boxes, scores, labels.astype(np.int32)
    outputs = {prefix + name: array for name, array in zip(names, arrays, strict=True)}
    if not in_order:
        outputs = dict(reversed(outputs.items()))
    found = run(read(tmp_path, Making(outputs, size=SIZE), family))
    assert (found.scores[20:] == -1).all()
    agree(found.best(20), as_listed(boxes[:, :20], scores[:, :20], labels[:, :20]))


@pytest.mark.parametrize(
    ("family", "name", "order"),
    [("yolov7-rows", "output", (6, 5)), ("yolo-nas", "graph2_flat_predictions", (5, 6))],
)
def test_rows_of_a_batch(tmp_path: Path, family: str, name: str, order: tuple[int, int]) -> None:
    """YOLOv7 has the class before the score, YOLO-NAS after it: only the output's name tells."""
    boxes, scores, labels = listed_rows(30, 2)
    rows = np.zeros((30, 7), np.float32)
    rows[:, 1:5], rows[:, order[0]], rows[:, order[1]] = boxes[0], scores[0], labels[0]
    declared: dict[str, Any] = {name: ("detections", 7)}
    making = Making({name: rows}, declared=declared, size=("batch", *SIZE[1:]), aside=["NonMaxSuppression"])
    model = read(tmp_path, making, family)
    found = run(model)
    agree(found.best(30), as_listed(boxes, scores, labels))
    other = {"yolov7-rows": "yolo-nas", "yolo-nas": "yolov7-rows"}[family]
    with pytest.raises(ModelError, match="classes are no whole numbers"):
        read_model(tmp_path / "m.onnx", other)


@pytest.mark.parametrize("family", ["yolo-nas", "damo-yolo", "pp-yoloe"])
@pytest.mark.parametrize("classes", [2, 4])
def test_boxes_and_scores(tmp_path: Path, family: str, classes: int) -> None:
    """YOLO-NAS and DAMO-YOLO have the same outputs and different inputs, so one must be told."""
    boxes, _, _ = listed_rows(len(GRID), 2)
    scores = numbers(1, len(GRID), classes, low=0.01, high=0.99)
    logits = logits_of(scores)
    outputs = {"a": boxes, "b": logits.transpose(0, 2, 1) if family == "pp-yoloe" else logits}
    making = Making(outputs, {"b": "Sigmoid"}, size=SIZE, metadata={"names": str(list(COCO[:classes]))})
    file = making.save(tmp_path / "m.onnx")
    expected = as_listed(boxes, scores.max(axis=2), scores.argmax(axis=2))
    agree(run(read_model(file, family)), expected)
    if family == "pp-yoloe":
        assert read_model(file).family.name == family
    else:
        with pytest.raises(ModelError, match=r"set family to .*yolo-nas.*damo-yolo"):
            read_model(file)


@pytest.mark.parametrize("names", [["cat", "dog"], ["__background__", "cat", "dog"]])
def test_torchvision(tmp_path: Path, names: list[str]) -> None:
    """Its classes begin at 1, whether the names begin with the background or not."""
    boxes, scores, labels = listed_rows(20, 2)
    outputs = {"boxes": boxes[0], "labels": labels[0] + 1, "scores": scores[0]}
    making = Making(outputs, size=SIZE, metadata={"names": str(names)})
    model = read(tmp_path, making, "torchvision")
    found = run(model)
    assert [model.labels[label] for label in found.labels] == [
        ["cat", "dog"][label] for _, _, label in sorted(as_listed(boxes, scores, labels), key=lambda c: -c[1])
    ]


def test_rtmdet_has_an_input_of_its_own(tmp_path: Path) -> None:
    boxes, scores, labels = listed_rows(20, 2)
    outputs = {"dets": np.concatenate([boxes, scores[..., None]], axis=2), "labels": labels}
    geometry = read(tmp_path, Making(outputs, size=SIZE, aside=["HardSigmoid"]), "mmdet").geometry
    assert (geometry.fit, geometry.pad, geometry.rgb, geometry.mean[0]) == (Fit.TOP_LEFT, 114, False, 103.53)
    geometry = read(tmp_path, Making(outputs, size=SIZE), "mmdet").geometry
    assert (geometry.pad, geometry.rgb, geometry.mean[0]) == (0, True, 123.675)


def test_uint8_yolo_nas_divides_by_itself(tmp_path: Path) -> None:
    arrays = np.array([[1]], np.int32), *listed_rows(30, 2)
    names = ("num_predictions", "pred_boxes", "pred_scores", "pred_classes")
    outputs: dict[str, Any] = dict(zip(names, arrays, strict=True))
    for dtype, std in ((TensorProto.UINT8, 1.0), (TensorProto.FLOAT, 255.0)):
        model = read(tmp_path, Making(outputs, size=SIZE, dtype=dtype, metadata=TWO_NAMES), "yolo-nas")
        assert model.geometry.std[0] == std


def test_pixel_mask_is_fed(tmp_path: Path) -> None:
    """DETR's second input: every pixel counts, since nothing is padded."""
    proto = Making({"logits": numbers(1, 50, 3), "raw_boxes": numbers(1, 50, 4)}, size=SIZE).proto()
    proto.graph.input.append(helper.make_tensor_value_info("pixel_mask", TensorProto.INT64, [1, HEIGHT, WIDTH]))
    proto.graph.node.extend(
        [
            helper.make_node("Cast", ["pixel_mask"], ["mask"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMin", ["mask"], ["least"], keepdims=0),
            helper.make_node("Mul", ["raw_boxes", "least"], ["pred_boxes"]),
        ]
    )
    proto.graph.output[1].name = "pred_boxes"
    file = tmp_path / "m.onnx"
    file.write_bytes(proto.SerializeToString())
    found = run(read_model(file))
    assert (found.boxes[:, 2:] > found.boxes[:, :2]).all()

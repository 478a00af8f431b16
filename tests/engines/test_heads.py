"""Every head against a decoding written anew with NumPy, a loop over the objects: known numbers in, boxes out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from engines.graphs.compose import canonical_detector
from engines.labels import COCO
from engines.model import Model, read_model
from tests.engines.making import Making

Array: TypeAlias = NDArray[np.float32]
WIDTH, HEIGHT = 128, 64
SIZE = (1, 3, HEIGHT, WIDTH)


@dataclass(frozen=True)
class Candidates:
    """What leaves a canonical detector for one picture."""

    boxes: Array
    """[K, 4] xyxy in model-input pixels"""
    scores: Array
    labels: NDArray[np.int32]

    def best(self, count: int) -> Candidates:
        """The first of them."""
        return Candidates(self.boxes[:count], self.scores[:count], self.labels[:count])


def run(model: Model) -> Candidates:
    session = ort.InferenceSession(canonical_detector(model, model.proto).SerializeToString())
    batch, *shape = (size if isinstance(size, int) else 1 for size in session.get_inputs()[0].shape)
    dtype = helper.tensor_dtype_to_np_dtype(model.input_type)
    boxes, scores, labels = session.run(["boxes", "scores", "labels"], {"images": np.zeros((batch, *shape), dtype)})
    assert (boxes.dtype, scores.dtype, labels.dtype) == (np.float32, np.float32, np.int32)
    assert (np.diff(scores[0]) <= 0).all(), "best first"
    return Candidates(boxes[0], scores[0], labels[0])


def read(folder: Path, making: Making, family: str, **settings: Any) -> Model:
    """The model, which must be taken for one of the family whether it is told or not."""
    file = making.save(folder / "m.onnx")
    assert read_model(file, family, **settings).family.name == family
    model = read_model(file, **settings)
    assert model.family.name == family
    return model


def agree(found: Candidates, expected: list[tuple[list[float], float, int]], rtol: float = 1e-4) -> None:
    """`expected` are box, score and label of all objects, in any order; as many of the best as were found count."""
    best = sorted(expected, key=lambda candidate: -candidate[1])[: len(found.scores)]
    boxes, scores, labels = (np.array(column) for column in zip(*best, strict=True))
    assert np.allclose(found.scores, scores, rtol=rtol)
    assert np.allclose(found.boxes, boxes, rtol=rtol, atol=1e-2)
    assert found.labels.tolist() == labels.tolist()


def numbers(*shape: int, low: float = 0.0, high: float = 1.0, dtype: Any = np.float32) -> NDArray[Any]:
    return np.random.default_rng(sum(shape)).uniform(low, high, shape).astype(dtype)


def cells(*strides: int) -> list[tuple[int, int, int]]:
    """Column, row and stride of every cell."""
    return [
        (x, y, stride) for stride in strides for y in range(-(-HEIGHT // stride)) for x in range(-(-WIDTH // stride))
    ]


def from_centre(x: float, y: float, w: float, h: float) -> list[float]:
    return [x - w / 2, y - h / 2, x + w / 2, y + h / 2]


def pixel_rows(count: int, columns: int) -> Array:
    """[1, count, columns]: centre and size in pixels, then numbers from 0 to 1."""
    rows = numbers(1, count, columns)
    rows[..., :4] *= (WIDTH, HEIGHT, WIDTH / 2, HEIGHT / 2)
    return np.asarray(rows, np.float32)


GRID = cells(8, 16, 32)
P6 = cells(8, 16, 32, 64)


def with_objectness(rows: Array) -> list[tuple[list[float], float, int]]:
    return [(from_centre(*row[:4]), row[4] * row[5:].max(), int(row[5:].argmax())) for row in rows]


@pytest.mark.parametrize("count", [3 * len(GRID), 3 * len(P6)])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_yolov5(tmp_path: Path, count: int, dtype: Any) -> None:
    rows = pixel_rows(count, 7).astype(dtype)
    element = TensorProto.FLOAT if dtype is np.float32 else TensorProto.FLOAT16
    model = read(tmp_path, Making({"output": rows}, size=SIZE, dtype=element), "yolov5")
    agree(run(model), with_objectness(rows[0].astype(np.float32)))


def test_yolov5_with_the_undecoded_maps_of_old_exports(tmp_path: Path) -> None:
    maps = {str(stride): numbers(1, 3, HEIGHT // stride, WIDTH // stride, 7) for stride in (8, 16, 32)}
    rows = pixel_rows(3 * len(GRID), 7)
    model = read(tmp_path, Making({**maps, "output": rows}, size=SIZE), "yolov5")
    agree(run(model), with_objectness(rows[0]))


def test_yolox(tmp_path: Path) -> None:
    rows = numbers(1, len(GRID), 7)
    model = read(tmp_path, Making({"output": rows}, size=SIZE), "yolox")
    expected = [
        (
            from_centre((row[0] + x) * stride, (row[1] + y) * stride, *(np.exp(row[2:4]) * stride)),
            row[4] * row[5:].max(),
            int(row[5:].argmax()),
        )
        for row, (x, y, stride) in zip(rows[0], GRID, strict=True)
    ]
    agree(run(model), expected)


def test_yolox_that_decodes_itself(tmp_path: Path) -> None:
    rows = pixel_rows(len(GRID), 7)
    model = read(tmp_path, Making({"output": np.log(rows)}, {"output": "Exp"}, size=SIZE), "yolox")
    agree(run(model), with_objectness(rows[0]))


def with_classes(rows: Array) -> list[tuple[list[float], float, int]]:
    return [(from_centre(*row[:4]), row[4:].max(), int(row[4:].argmax())) for row in rows]


@pytest.mark.parametrize("count", [len(GRID), len(P6)])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("opset", [11, 13, 18, 20])
def test_yolov8(tmp_path: Path, count: int, transposed: bool, opset: int) -> None:
    rows = pixel_rows(count, 6)
    output = rows if transposed else rows.transpose(0, 2, 1)
    model = read(tmp_path, Making({"output0": output}, {"output0": "Mul"}, size=SIZE, opset=opset), "yolov8")
    agree(run(model), with_classes(rows[0]))


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


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


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
    model = read(tmp_path, Making({boxes_name: boxes, logits_name: logits}, size=SIZE, metadata=names), "detr-raw")
    assert model.geometry.mean[0] == (123.675 if boxes_name == "dets" else 0.0)
    agree(run(model), pairs(logits, boxes))


def test_detr_raw_in_one_output(tmp_path: Path) -> None:
    logits, boxes = numbers(1, 300, 2, low=-6, high=2), numbers(1, 300, 4)
    rows = np.concatenate([boxes, sigmoid(logits)], axis=2).astype(np.float32)
    model = read(tmp_path, Making({"output0": rows}, size=SIZE, aside=["GridSample", "TopK"]), "detr-raw")
    agree(run(model), pairs(logits, boxes))


def test_detr_raw_that_counts_category_ids(tmp_path: Path) -> None:
    """91 columns, COCO's ids with their gaps: 1 is person, 13 a stop sign, 90 a toothbrush, 12 nothing."""
    logits, boxes = np.full((1, 100, 91), -9, np.float32), numbers(1, 100, 4)
    logits[0, [3, 4, 5, 6], [1, 13, 90, 12]] = [4, 3, 2, 9]
    making = Making({"logits": logits, "pred_boxes": boxes}, size=SIZE, metadata={})
    model = read(tmp_path, making, "detr-raw", labels="coco")
    found = run(model)
    assert [model.labels[label] for label in found.labels[:3]] == ["person", "stop sign", "toothbrush"]
    assert np.allclose(found.scores[:4], sigmoid(np.array([4, 3, 2, -9])), rtol=1e-3)


def from_sides(row: Array, cell: tuple[int, int, int], offset: float) -> list[float]:
    """`row` are the logits of the four sides."""
    bins = np.exp(row.reshape(4, -1))
    left, top, right, bottom = (bins / bins.sum(axis=1, keepdims=True)) @ np.arange(bins.shape[1])
    x, y, stride = cell[0] + offset, cell[1] + offset, cell[2]
    return [(x - left) * stride, (y - top) * stride, (x + right) * stride, (y + bottom) * stride]


def gfl(scores: Array, sides: Array, grid: list[tuple[int, int, int]], offset: float) -> list[Any]:
    return [
        (from_sides(side, cell, offset), score.max(), int(score.argmax()))
        for score, side, cell in zip(scores, sides, grid, strict=True)
    ]


@pytest.mark.parametrize(
    ("family", "strides", "offset", "aside"),
    [
        ("nanodet", (8, 16, 32), 0.5, []),
        ("nanodet", (8, 16, 32, 64), 0.0, ["LeakyRelu"]),
        ("picodet", (8, 16, 32, 64), 0.5, ["HardSigmoid"]),
    ],
)
@pytest.mark.parametrize("layout", ["batch", "no batch", "shuffled", "32 classes"])
def test_levels(
    tmp_path: Path, family: str, strides: tuple[int, ...], offset: float, aside: list[str], layout: str
) -> None:
    grid = cells(*strides)
    classes = 32 if layout == "32 classes" else 2
    scores, sides = numbers(len(grid), classes, low=0.01), numbers(len(grid), 32, low=-2, high=2)
    outputs, through, first = {}, {}, 0
    for level, stride in enumerate(strides):
        last = first + len(cells(stride))
        logits = np.log(scores[first:last] / (1 - scores[first:last]))
        for name, values in ((f"a{level}", logits), (f"b{level}", sides[first:last])):
            outputs[name] = values if layout == "no batch" else values[None]
        through[f"a{level}"] = "Sigmoid"
        first = last
    if layout == "shuffled":
        outputs = dict(sorted(outputs.items(), key=lambda item: item[0][::-1]))
    making = Making(outputs, through, size=SIZE, aside=aside, metadata={"names": str(list(COCO[:classes]))})
    agree(run(read(tmp_path, making, family)), gfl(scores, sides, grid, offset))


@pytest.mark.parametrize(("strides", "offset"), [((8, 16, 32), 0.5), ((8, 16, 32, 64), 0.0)])
@pytest.mark.parametrize("reach", [7, 10])
def test_nanodet_in_one_output(tmp_path: Path, strides: tuple[int, ...], offset: float, reach: int) -> None:
    grid = cells(*strides)
    scores, sides = numbers(len(grid), 2), numbers(len(grid), 4 * (reach + 1), low=-2, high=2)
    model = read(tmp_path, Making({"output": np.concatenate([scores, sides], axis=1)[None]}, size=SIZE), "nanodet")
    agree(run(model), gfl(scores, sides, grid, offset))


def test_fastestdet(tmp_path: Path) -> None:
    grid = numbers(1, 7, HEIGHT // 16, WIDTH // 16)
    grid[:, 1:5] = grid[:, 1:5] * 4 - 2
    model = read(tmp_path, Making({"758": grid}, size=SIZE), "fastestdet")
    expected = []
    for y, x in np.ndindex(HEIGHT // 16, WIDTH // 16):
        objectness, dx, dy, w, h, *of_class = grid[0, :, y, x]
        centre = (x + np.tanh(dx)) * 16, (y + np.tanh(dy)) * 16
        box = from_centre(*centre, sigmoid(w) * WIDTH, sigmoid(h) * HEIGHT)
        expected.append((box, objectness**0.6 * max(of_class) ** 0.4, int(np.argmax(of_class))))
    agree(run(model), expected)


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
def test_ssd_counts_category_ids(tmp_path: Path, setting: str, names: dict[int, str]) -> None:
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


def test_ssd_of_floats_is_fed_from_minus_one_to_one(tmp_path: Path) -> None:
    making, _, _ = ssd("lite", np.zeros((1, 12)), TensorProto.FLOAT)
    geometry = read(tmp_path, making, "ssd").geometry
    assert (geometry.mean, geometry.std) == ((127.5,) * 3, (127.5,) * 3)


@pytest.mark.parametrize("lone", [False, True])
@pytest.mark.parametrize("counts", [False, True])
def test_mmdet(tmp_path: Path, lone: bool, counts: bool) -> None:
    """How many boxes there are may vary with the picture: then there is room for as many as can leave."""
    boxes, scores, labels = listed_rows(20, 2)
    outputs = {"labels": labels, "dets": np.concatenate([boxes, scores[..., None]], axis=2)}
    declared: dict[str, Any] = {"labels": (1, "n"), "dets": (1, "n", 5)} if counts else {}
    if lone:
        outputs = {name: values[0] for name, values in outputs.items()}
        declared = {name: shape[1:] for name, shape in declared.items()}
    making = Making(outputs, declared=declared, size=SIZE, aside=["NonMaxSuppression"] * counts)
    found = run(read(tmp_path, making, "mmdet"))
    assert len(found.scores) == (300 if counts else 20)
    assert (found.scores[20:] == -1).all()
    agree(found.best(20), as_listed(boxes, scores, labels))

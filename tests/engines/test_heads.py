"""Heads of grid detectors against an independent decoding in NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from engines.labels import COCO
from tests.engines.decoding import (
    GRID,
    HEIGHT,
    P6,
    SIZE,
    WIDTH,
    Array,
    agree,
    cells,
    from_centre,
    numbers,
    pixel_rows,
    read,
    run,
    sigmoid,
)
from tests.engines.making import Making


def with_objectness(rows: Array) -> list[tuple[list[float], float, int]]:
    return [(from_centre(*row[:4]), row[4] * row[5:].max(), int(row[5:].argmax())) for row in rows]


@pytest.mark.parametrize("count", [3 * len(GRID), 3 * len(P6)])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_yolov5(tmp_path: Path, count: int, dtype: Any) -> None:
    rows = pixel_rows(count, 7).astype(dtype)
    element = TensorProto.FLOAT if dtype is np.float32 else TensorProto.FLOAT16
    model = read(tmp_path, Making({"output": rows}, size=SIZE, dtype=element), "yolov5")
    agree(run(model), with_objectness(rows[0].astype(np.float32)))


def test_yolov5_with_undecoded_maps(tmp_path: Path) -> None:
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


def test_yolox_decoded_in_the_model(tmp_path: Path) -> None:
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

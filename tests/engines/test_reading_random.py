"""A layout, or one with a fact changed, is read right or refused; never read wrong."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engines.errors import EngineError
from engines.model import read_model
from tests.engines.decoding import GRID, HEIGHT, SIZE, WIDTH, from_centre, numbers, pixel_rows, run, sigmoid
from tests.engines.making import Making
from tests.engines.test_heads_lists import as_listed, listed_rows
from tests.engines.test_heads_lists import ssd as ssd_of

Truth = list[tuple[list[float], float, int]]
SCALE = np.array([WIDTH, HEIGHT, WIDTH, HEIGHT], np.float32)
LISTED = 60
ULTRALYTICS = {"author": "Ultralytics"}
LABELS = np.arange(12)[None] % 2


@dataclass(frozen=True)
class Meant:
    """A model, and what its outputs mean."""

    making: Making
    truth: Truth


def of_rows(rows: NDArray[Any], scores: Callable[[Any], Any]) -> Truth:
    return [(from_centre(*row[:4]), float(scores(row).max()), int(scores(row).argmax())) for row in rows]


def yolov8() -> Meant:
    rows = pixel_rows(len(GRID), 6)
    making = Making({"output0": rows.transpose(0, 2, 1)}, {"output0": "Mul"}, size=SIZE)
    return Meant(making, of_rows(rows[0], lambda row: row[4:]))


def yolov5() -> Meant:
    rows = pixel_rows(3 * len(GRID), 7)
    making = Making({"output": rows}, {"output": "Mul"}, size=SIZE)
    return Meant(making, of_rows(rows[0], lambda row: row[4] * row[5:]))


def yolov10() -> Meant:
    boxes, scores, labels = listed_rows(LISTED, 2)
    rows = np.concatenate([boxes, scores[..., None], labels[..., None]], axis=2).astype(np.float32)
    return Meant(Making({"output0": rows}, {"output0": "TopK"}, size=SIZE), as_listed(boxes, scores, labels))


def rtdetr() -> Meant:
    unit, scores = numbers(1, LISTED, 4), numbers(1, LISTED)
    labels = np.random.default_rng(1).integers(0, 2, (1, LISTED))
    rows = np.concatenate([unit, scores[..., None], labels[..., None]], axis=2).astype(np.float32)
    boxes = np.array([[from_centre(*box) for box in unit[0] * SCALE]], np.float32)
    making = Making({"output0": rows}, {"output0": "TopK"}, size=SIZE, aside=["GridSample"])
    return Meant(making, as_listed(boxes, scores, labels))


def detr_raw() -> Meant:
    logits, boxes = numbers(1, LISTED, 2, low=-6, high=2), numbers(1, LISTED, 4)
    truth = [
        (from_centre(*box), float(score), label)
        for row, box in zip(sigmoid(logits[0]), boxes[0] * SCALE, strict=True)
        for label, score in enumerate(row)
    ]
    return Meant(Making({"logits": logits, "pred_boxes": boxes}, size=SIZE, aside=["GridSample"]), truth)


def detr_softmax() -> Meant:
    logits, boxes = numbers(1, LISTED, 3, low=-4, high=4), numbers(1, LISTED, 4)
    scores = np.exp(logits[0]) / np.exp(logits[0]).sum(axis=1, keepdims=True)
    rows = np.concatenate([boxes[0] * SCALE, scores[:, :2]], axis=1)
    return Meant(Making({"logits": logits, "pred_boxes": boxes}, size=SIZE), of_rows(rows, lambda row: row[4:]))


def mmdet() -> Meant:
    boxes, scores, labels = listed_rows(LISTED, 2)
    outputs = {"dets": np.concatenate([boxes, scores[..., None]], axis=2), "labels": labels}
    return Meant(Making(outputs, size=SIZE), as_listed(boxes, scores, labels))


def end2end() -> Meant:
    boxes, scores, labels = listed_rows(LISTED, 2)
    outputs = {"num_dets": np.array([[LISTED]]), "det_boxes": boxes, "det_scores": scores, "det_classes": labels}
    return Meant(Making(outputs, size=SIZE), as_listed(boxes, scores, labels))


def torchvision() -> Meant:
    boxes, scores, labels = listed_rows(LISTED, 2)
    outputs = {"boxes": boxes[0], "scores": scores[0], "labels": labels[0] + 1}
    return Meant(Making(outputs, size=SIZE), as_listed(boxes, scores, labels))


def deepstream() -> Meant:
    boxes, scores, labels = listed_rows(len(GRID), 2)
    rows = np.concatenate([boxes, scores[..., None], labels[..., None]], axis=2).astype(np.float32)
    return Meant(Making({"output": rows}, {"output": "ArgMax"}, size=SIZE), as_listed(boxes, scores, labels))


def pp_yoloe() -> Meant:
    boxes, _, _ = listed_rows(len(GRID), 2)
    scores = numbers(1, 2, len(GRID), low=0.01, high=0.99)
    making = Making({"a": boxes, "b": np.log(scores / (1 - scores))}, {"b": "Sigmoid"}, size=SIZE)
    return Meant(making, as_listed(boxes, scores.max(axis=1), scores.argmax(axis=1)))


def ssd() -> Meant:
    making, boxes, scores = ssd_of("lite", LABELS)
    return Meant(making, as_listed(boxes, scores, LABELS[:, :10]))


LAYOUTS = (
    yolov8, yolov5, yolov10, rtdetr, detr_raw, detr_softmax, mmdet, end2end, torchvision, deepstream, pp_yoloe, ssd,
)  # fmt: skip


def as_it_is(making: Making, _: int) -> Making:
    return making


def other_order(making: Making, seed: int) -> Making:
    names = np.random.default_rng(seed).permutation(list(making.outputs))
    return replace(making, outputs={str(name): making.outputs[str(name)] for name in names})


def other_names(making: Making, _: int) -> Making:
    new = {name: f"out{place}" for place, name in enumerate(making.outputs)}
    return replace(
        making,
        outputs={new[name]: values for name, values in making.outputs.items()},
        through={new[name]: operator for name, operator in making.through.items()},
    )


def changed(making: Making, seed: int, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Making:
    """With one output changed."""
    name = list(making.outputs)[seed % len(making.outputs)]
    before = making.outputs[name]
    return replace(making, outputs={**making.outputs, name: change(before).astype(before.dtype)})


def turned(making: Making, seed: int) -> Making:
    return changed(making, seed, lambda values: values if values.ndim < 3 else values.transpose(0, 2, 1))


def narrower(making: Making, seed: int) -> Making:
    return changed(making, seed, lambda values: values[..., :-1] if values.ndim > 1 else values)


def wider(making: Making, seed: int) -> Making:
    return changed(making, seed, lambda values: np.concatenate([values, values[..., :1]], axis=-1))


def fewer_rows(making: Making, seed: int) -> Making:
    return changed(making, seed, lambda values: values[:, :-7] if values.ndim == 3 else values)


def last_columns_swapped(making: Making, seed: int) -> Making:
    return changed(making, seed, lambda v: v if v.ndim < 3 or v.shape[2] != 6 else v[..., [0, 1, 2, 3, 5, 4]])


def boxes_enlarged(making: Making, seed: int) -> Making:
    """Pixels where fractions belong, or pixels of a much larger input."""
    most = 9  # columns, so that it holds boxes and no scores of cells

    def enlarged(v: NDArray[Any]) -> NDArray[Any]:
        if 4 <= v.shape[-1] <= most:
            return np.asarray(v * np.array([640] * 4 + [1] * (v.shape[-1] - 4)))
        return enlarged(v.transpose(0, 2, 1)).transpose(0, 2, 1) if v.ndim == 3 and 4 <= v.shape[1] <= most else v

    return changed(making, seed, enlarged)


def more_names(making: Making, seed: int) -> Making:
    names = ["cat", "dog", "cow", "hen"][: 3 + seed % 2]
    return replace(making, metadata={"names": str(names)})


def said_of(making: Making, seed: int) -> Making:
    """Its metadata is that of another exporter."""
    metadata = (
        ULTRALYTICS if seed % 2 else {"libreyolo_version": "1.6.0", "model_family": ["yolox", "yolo9"][seed % 4 // 2]}
    )
    return replace(making, metadata={**making.metadata, **metadata})


HARMLESS = (as_it_is, other_order, other_names, turned)
"""what an exporter may do"""
HARMFUL = (as_it_is, narrower, wider, fewer_rows, last_columns_swapped, boxes_enlarged, more_names, said_of)
"""what makes another model of it"""


def is_right(making: Making, truth: Truth, folder: Path) -> bool | None:
    """None: refused."""
    try:
        model = read_model(making.save(folder / "m.onnx"))
    except EngineError:
        return None
    found = run(model)
    boxes, scores = np.array([t[0] for t in truth]), np.array([t[1] for t in truth])
    labels = np.array([t[2] for t in truth])
    for box, score, label in zip(found.boxes, found.scores, found.labels, strict=True):
        same = (np.abs(boxes - box).max(axis=1) < 0.5) & (np.abs(scores - score) < 0.005) & (labels == label)
        if score >= 0 and not same.any():
            return False
    return True


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_read_right(layout: Callable[[], Meant], tmp_path: Path) -> None:
    """So that the test below compares with what is true."""
    meant = layout()
    assert is_right(meant.making, meant.truth, tmp_path) is True


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    layout=st.sampled_from(LAYOUTS),
    harmless=st.lists(st.sampled_from(HARMLESS), max_size=2),
    harmful=st.sampled_from(HARMFUL),
    seed=st.integers(0, 1000),
)
def test_a_changed_layout_is_read_right_or_refused(
    layout: Callable[[], Meant],
    harmless: list[Callable[[Making, int], Making]],
    harmful: Callable[[Making, int], Making],
    seed: int,
) -> None:
    meant = layout()
    making = meant.making
    for change in (harmful, *harmless):
        making = change(making, seed)
    making = replace(making, outputs={name: np.ascontiguousarray(v) for name, v in making.outputs.items()})
    with tempfile.TemporaryDirectory() as folder:
        assert is_right(making, meant.truth, Path(folder)) is not False

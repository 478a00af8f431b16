"""Runs a head on known numbers, for comparison with an independent decoding in NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import helper

from engines.graphs.compose import canonical_detector
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
    """The model, which must be taken for one of the family whether that is given or not."""
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


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


GRID = cells(8, 16, 32)
P6 = cells(8, 16, 32, 64)

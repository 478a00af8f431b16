"""NV12 pictures of every size and colour, and what the graph on ONNX Runtime makes of them."""

from __future__ import annotations

import functools
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import helper

from engines.graphs.nv12 import CHROMA, COLOURS, LUMA, WIDTH, colours, nv12_model
from engines.graphs.preprocess import IMAGES, InputGeometry
from engines.pictures import ColourMatrix, Nv12Picture
from tests.engines.test_preprocess import GEOMETRIES
from tests.nv12 import nv12

_WIDTH, _HEIGHT = 320, 224  # of the input
_SIZES = ((64, 48), (640, 360), (333, 517), (1279, 719), (1, 1))
_COLOURS = [(matrix, full) for matrix in ColourMatrix for full in (False, True)]
ELEMENTS = [np.dtype(kind) for kind in (np.float32, np.float16, np.uint8)]
INPUTS = [
    (geometry, dtype, (row + column) % 2 == 0)
    for row, geometry in enumerate(GEOMETRIES)
    for column, dtype in enumerate(ELEMENTS)
]
"""each geometry with each element, planar or not in turn"""


def name_of(case: tuple[InputGeometry, np.dtype[Any], bool]) -> str:
    geometry, dtype, planar = case
    return f"{geometry.fit.value}-{dtype}-{'planar' if planar else 'interleaved'}"


def model_of(case: tuple[InputGeometry, np.dtype[Any], bool]) -> Any:
    """A model with such an input, as far as preprocessing knows it."""
    geometry, dtype, planar = case
    if dtype == np.uint8:
        geometry = replace(geometry, mean=(0.0,) * 3, std=(1.0,) * 3)
    return SimpleNamespace(path="model", geometry=geometry, width=_WIDTH, height=_HEIGHT, planar=planar)


def shape_of(model: Any) -> tuple[int, int, int]:
    """Of its input."""
    return (3, model.height, model.width) if model.planar else (model.height, model.width, 3)


@functools.cache
def pictures() -> list[Nv12Picture]:
    """Each of another size, with noise beyond the width."""
    return [
        nv12(_noisy(*size), *_COLOURS[number % len(_COLOURS)], pitch=(size[0] + 511) // 256 * 256)
        for number, size in enumerate(_SIZES)
    ]


def check(got: NDArray[Any], picture: Nv12Picture, model: Any) -> None:
    """That it is what the graph gives."""
    wanted = _by_graph(picture, model, helper.np_dtype_to_tensor_dtype(got.dtype))
    difference = np.abs(got.astype(np.float64) - wanted) * max(model.geometry.std) / 255
    assert difference.max() < 0.006  # one value of 8 bits, where that is what the model takes
    assert difference.mean() < 0.0005


def _noisy(width: int, height: int) -> NDArray[np.uint8]:
    noise = np.random.default_rng(3).integers(0, 256, (height, width, 3)).astype(np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (5, 5), 0), np.uint8).reshape(height, width, 3)


def _by_graph(picture: Nv12Picture, model: Any, element: int) -> NDArray[Any]:
    return run_graph(nv12_model(model.geometry, model.width, model.height, element, model.planar), picture)


def run_graph(graph: onnx.ModelProto, picture: Nv12Picture) -> NDArray[Any]:
    """What the graph makes of a picture, on ONNX Runtime."""
    luma, chroma = picture.read()
    inputs = {
        LUMA: luma[None, :, :, None],
        CHROMA: chroma.reshape(1, len(chroma), -1, 2),
        WIDTH: np.array([picture.width]),
        COLOURS: colours(picture.matrix, picture.full_range),
    }
    return np.asarray(ort.InferenceSession(graph.SerializeToString()).run([IMAGES], inputs)[0][0])

"""The preprocess graph and the CPU backend's letterbox give the model the same input."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import helper

from engines.graphs.preprocess import InputGeometry, preprocess_model
from engines.records import Fit, InputOverride, Letterbox

GEOMETRIES = [
    InputGeometry(Fit.TOP_LEFT, pad=114, rgb=False),
    InputGeometry(Fit.CENTRED, pad=114, rgb=True, std=(255.0, 255.0, 255.0)),
    InputGeometry(Fit.STRETCH, pad=0, rgb=True, mean=(123.7, 116.3, 103.5), std=(58.4, 57.1, 57.4)),
]
HALF_A_PIXEL = (640, 425)
"""fits an input 320 wide as 212.5 rows"""


def assert_close(out: NDArray[Any], wanted: NDArray[Any], geometry: InputGeometry) -> None:
    """OpenCV's resize of uint8 computes in fixed point and rounds; 0.004 of the range is one grey level."""
    difference = np.abs(out.astype(np.float32) - wanted) * max(geometry.std)
    assert difference.max() < 0.004 * 255
    assert difference.mean() < 0.3


def by_hand(picture: NDArray[np.uint8], geometry: InputGeometry, width: int, height: int) -> NDArray[np.float32]:
    """Resize, pad, colour order and scale with OpenCV and NumPy."""
    box = Letterbox.of(picture.shape[1], picture.shape[0], width, height, geometry.fit)
    canvas = np.full((height, width, 3), geometry.pad, np.float32)
    resized = cv2.resize(picture, (box.width, box.height), interpolation=cv2.INTER_LINEAR)
    canvas[box.top : box.top + box.height, box.left : box.left + box.width] = resized
    if geometry.rgb:
        canvas = canvas[:, :, ::-1]
    return np.asarray(((canvas - geometry.mean) / geometry.std).transpose(2, 0, 1), np.float32)


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda g: g.fit.value)
@pytest.mark.parametrize(
    "size", [(64, 48), (1280, 720), (333, 517), (1921, 1079), (416, 256), (2000, 20), HALF_A_PIXEL]
)
def test_graph_equals_opencv(geometry: InputGeometry, size: tuple[int, int]) -> None:
    width, height = size
    noise = np.random.default_rng(1).integers(0, 256, (height, width, 3)).astype(np.uint8)
    picture = cv2.GaussianBlur(noise, (7, 7), 0).astype(np.uint8)
    session = ort.InferenceSession(preprocess_model(geometry, 320, 224).SerializeToString())
    out = session.run(None, {"frames": picture[None]})[0][0]
    assert out.shape == (3, 224, 320)
    assert_close(out, by_hand(picture, geometry, 320, 224), geometry)


def test_several_frames_of_one_size_at_once() -> None:
    pictures = np.random.default_rng(2).integers(0, 256, (3, 90, 160, 3)).astype(np.uint8)
    session = ort.InferenceSession(preprocess_model(GEOMETRIES[1], 96, 64).SerializeToString())
    together = session.run(None, {"frames": pictures})[0]
    alone = np.concatenate([session.run(None, {"frames": picture[None]})[0] for picture in pictures])
    assert np.array_equal(together, alone)


def test_graph_on_real_images(material: Path) -> None:
    picture = cv2.imread(str(material / "images" / "dog.jpg"))
    assert picture is not None
    session = ort.InferenceSession(preprocess_model(GEOMETRIES[1], 640, 640).SerializeToString())
    out = session.run(None, {"frames": picture[None]})[0][0]
    assert_close(out, by_hand(picture.astype(np.uint8), GEOMETRIES[1], 640, 640), GEOMETRIES[1])


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32])
@pytest.mark.parametrize("planar", [False, True])
def test_layout_and_type_are_those_of_the_model(dtype: Any, planar: bool) -> None:
    """uint8 is rounded, not cut off."""
    picture = np.random.default_rng(3).integers(0, 256, (90, 160, 3)).astype(np.uint8)
    geometry = InputGeometry(Fit.TOP_LEFT, pad=114, rgb=True)
    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    session = ort.InferenceSession(preprocess_model(geometry, 96, 64, element, planar).SerializeToString())
    out = session.run(None, {"frames": picture[None]})[0]
    assert (out.dtype, out.shape) == (dtype, (1, 3, 64, 96) if planar else (1, 64, 96, 3))
    expected = by_hand(picture, geometry, 96, 64)
    got = out[0] if planar else out[0].transpose(2, 0, 1)
    assert_close(got, expected, geometry)


FAMILY = InputGeometry(Fit.CENTRED, pad=114, rgb=True, std=(255.0, 255.0, 255.0))


@pytest.mark.parametrize(
    ("override", "geometry"),
    [
        (InputOverride(), FAMILY),
        (InputOverride(fit=Fit.STRETCH, pad=0, rgb=False), replace(FAMILY, fit=Fit.STRETCH, pad=0, rgb=False)),
        (InputOverride(scale=1.0), replace(FAMILY, std=(1.0, 1.0, 1.0))),
        (InputOverride(mean=(1.0, 2.0, 3.0)), replace(FAMILY, mean=(1.0, 2.0, 3.0), std=(1.0, 1.0, 1.0))),
        (
            InputOverride(scale=0.5, mean=(1.0, 2.0, 3.0), std=(1.0, 2.0, 4.0)),
            replace(FAMILY, mean=(2.0, 4.0, 6.0), std=(2.0, 4.0, 8.0)),
        ),
    ],
)
def test_user_settings_override_the_family(override: InputOverride, geometry: InputGeometry) -> None:
    """(pixel * scale - mean) / std, in terms of grey levels; one of the three given, the others are 1, 0 and 1."""
    assert FAMILY.overridden(override) == geometry

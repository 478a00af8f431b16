"""The preprocess graph and the CPU backend's letterbox give the model the same input."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from engines.graphs.preprocess import InputGeometry, preprocess_model
from engines.records import Fit, Letterbox

GEOMETRIES = [
    InputGeometry(Fit.TOP_LEFT, pad=114, rgb=False),
    InputGeometry(Fit.CENTRED, pad=114, rgb=True, std=(255.0, 255.0, 255.0)),
    InputGeometry(Fit.STRETCH, pad=0, rgb=True, mean=(123.7, 116.3, 103.5), std=(58.4, 57.1, 57.4)),
]


def by_hand(picture: NDArray[np.uint8], geometry: InputGeometry, width: int, height: int) -> NDArray[np.float32]:
    """Resize, pad, colour order and scale with OpenCV and NumPy in floating point."""
    box = Letterbox.of(picture.shape[1], picture.shape[0], width, height, geometry.fit)
    canvas = np.full((height, width, 3), geometry.pad, np.float32)
    resized = cv2.resize(picture.astype(np.float32), (box.width, box.height), interpolation=cv2.INTER_LINEAR)
    canvas[box.top : box.top + box.height, box.left : box.left + box.width] = resized
    if geometry.rgb:
        canvas = canvas[:, :, ::-1]
    return np.asarray(((canvas - geometry.mean) / geometry.std).transpose(2, 0, 1), np.float32)


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda g: g.fit.value)
@pytest.mark.parametrize("size", [(64, 48), (1280, 720), (333, 517), (1921, 1079), (416, 256), (2000, 20)])
def test_graph_equals_opencv(geometry: InputGeometry, size: tuple[int, int]) -> None:
    width, height = size
    noise = np.random.default_rng(1).integers(0, 256, (height, width, 3)).astype(np.uint8)
    picture = cv2.GaussianBlur(noise, (7, 7), 0).astype(np.uint8)
    session = ort.InferenceSession(preprocess_model(geometry, 320, 224).SerializeToString())
    out = session.run(None, {"frames": picture[None]})[0][0]
    assert out.shape == (3, 224, 320)
    grey_levels = np.abs(out - by_hand(picture, geometry, 320, 224)).max() * max(geometry.std)
    assert grey_levels < 0.05


def test_several_frames_of_one_size_at_once() -> None:
    pictures = np.random.default_rng(2).integers(0, 256, (3, 90, 160, 3)).astype(np.uint8)
    session = ort.InferenceSession(preprocess_model(GEOMETRIES[1], 96, 64).SerializeToString())
    together = session.run(None, {"frames": pictures})[0]
    alone = np.concatenate([session.run(None, {"frames": picture[None]})[0] for picture in pictures])
    assert np.array_equal(together, alone)


def test_graph_serves_real_pictures(material: Path) -> None:
    picture = cv2.imread(str(material / "images" / "dog.jpg"))
    assert picture is not None
    session = ort.InferenceSession(preprocess_model(GEOMETRIES[1], 640, 640).SerializeToString())
    out = session.run(None, {"frames": picture[None]})[0][0]
    assert np.abs(out - by_hand(picture.astype(np.uint8), GEOMETRIES[1], 640, 640)).max() * 255 < 0.05

"""The preprocess graph for NV12 gives the model what OpenCV makes of the same picture in BGR."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto

from engines.backends import build_target
from engines.errors import BackendError
from engines.graphs.nv12 import CHROMA, LUMA, WIDTH, nv12_model
from engines.graphs.preprocess import InputGeometry
from engines.pictures import ColourMatrix, Nv12Picture
from engines.records import Fit
from engines.tensorrt.build import LARGEST_FRAME
from tests.conftest import missing
from tests.engines.nv12_cases import run_graph
from tests.engines.test_preprocess import GEOMETRIES, by_hand
from tests.nv12 import nv12

INPUT = (320, 224)
SIZES = [(64, 48), (1280, 720), (333, 517), (1919, 1079), (416, 256), (2000, 20), (1, 1)]


def smooth(width: int, height: int) -> NDArray[np.uint8]:
    """A picture of all colours that changes over 32 pixels: chroma has half the resolution."""
    small = np.random.default_rng(1).integers(0, 256, (height // 32 + 2, width // 32 + 2, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def run(picture: Nv12Picture, geometry: InputGeometry, **model: Any) -> NDArray[Any]:
    return run_graph(nv12_model(geometry, *INPUT, **model), picture)


def difference(out: NDArray[Any], wanted: NDArray[Any], geometry: InputGeometry) -> float:
    """Mean, of the range of pixels."""
    return float(np.abs(out.astype(np.float32) - wanted).mean() * max(geometry.std) / 255)


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda g: g.fit.value)
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_equals_opencv_on_bgr(geometry: InputGeometry, size: tuple[int, int]) -> None:
    width, height = size
    picture = nv12(smooth(width, height), pitch=(width + 255) // 256 * 256)
    out = run(picture, geometry)
    assert out.shape == (3, INPUT[1], INPUT[0])
    assert difference(out, by_hand(picture.host(), geometry, *INPUT), geometry) < 0.01


@pytest.mark.parametrize("matrix", ColourMatrix)
@pytest.mark.parametrize("full_range", [False, True])
def test_colours_are_those_of_the_stream(matrix: ColourMatrix, full_range: bool) -> None:
    """Also against the picture that the stream was made of, and not with another matrix or range."""
    geometry, original = GEOMETRIES[1], smooth(1280, 720)
    picture = nv12(original, matrix, full_range)
    assert difference(run(picture, geometry), by_hand(original, geometry, *INPUT), geometry) < 0.002
    for other in ColourMatrix:
        for full in (False, True):
            if (other, full) != (matrix, full_range):
                wrong = Nv12Picture.in_host_memory(picture.read(), 1280, other, full, None)
                assert difference(run(wrong, geometry), by_hand(original, geometry, *INPUT), geometry) > 0.015


@pytest.mark.parametrize("width", [320, 319])
def test_what_lies_beyond_the_width_is_not_seen(width: int) -> None:
    """The rows are filled up with noise."""
    original = smooth(width, 240)
    narrow, wide = (run(nv12(original, pitch=pitch), GEOMETRIES[2]) for pitch in (320, 512))
    assert np.array_equal(narrow, wide)


@pytest.mark.parametrize(
    ("element", "dtype"),
    [(TensorProto.UINT8, np.uint8), (TensorProto.FLOAT16, np.float16), (TensorProto.FLOAT, np.float32)],
)
@pytest.mark.parametrize("planar", [False, True])
def test_layout_and_type_are_those_of_the_model(element: int, dtype: Any, planar: bool) -> None:
    geometry = InputGeometry(Fit.TOP_LEFT, pad=114, rgb=True)
    picture = nv12(smooth(640, 360))
    out = run(picture, geometry, dtype=element, planar=planar)
    assert out.dtype == dtype
    assert out.shape == ((3, INPUT[1], INPUT[0]) if planar else (INPUT[1], INPUT[0], 3))
    got = out if planar else out.transpose(2, 0, 1)
    assert difference(got, by_hand(picture.host(), geometry, *INPUT), InputGeometry(Fit.TOP_LEFT, 0, True)) < 0.01


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda g: g.fit.value)
def test_tensorrt_builds_it(geometry: InputGeometry) -> None:
    """For any size up to the largest that frames may have, as FP16."""
    try:
        trt = build_target("tensorrt_rtx").tensorrt
    except BackendError as error:
        missing("TensorRT for RTX", str(error))
        raise
    model = nv12_model(geometry, 640, 416, TensorProto.FLOAT16)
    with trt.errors() as said:
        parsed = trt.parse(model, strongly_typed=True)
        assert not parsed.errors
        profile = parsed.builder.create_optimization_profile()
        sizes = [(1, 2), (1080, 2048), LARGEST_FRAME]
        profile.set_shape(LUMA, *((1, height, pitch, 1) for height, pitch in sizes))
        profile.set_shape(CHROMA, *((1, (height + 1) // 2, pitch // 2, 2) for height, pitch in sizes))
        profile.set_shape_input(WIDTH, *((width,) for width in (1, 1920, LARGEST_FRAME[1])))
        config = parsed.builder.create_builder_config()
        config.add_optimization_profile(profile)
        plan = parsed.builder.build_serialized_network(parsed.network, config)
    assert not said
    assert plan is not None

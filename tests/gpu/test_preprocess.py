"""The preprocess engine gives the detector what the CPU backend gives it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import cv2
import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto

from engines.backends import Backend
from engines.build.cache import EngineCache
from engines.graphs.preprocess import FRAMES, IMAGES, InputGeometry, preprocess_model
from engines.precision import Precision
from engines.records import Fit
from engines.tensorrt.backend import find
from engines.tensorrt.build import FRAME_SHAPES
from engines.tensorrt.plans import PlanBuilder
from tests.engines.test_preprocess import by_hand

if TYPE_CHECKING:
    from tests.gpu.runner import PreprocessRunner

GEOMETRIES = {
    "top-left": InputGeometry(Fit.TOP_LEFT, pad=114, rgb=False),
    "centred": InputGeometry(Fit.CENTRED, pad=114, rgb=True, std=(255.0, 255.0, 255.0)),
    "stretch": InputGeometry(Fit.STRETCH, pad=0, rgb=True, mean=(123.7, 116.3, 103.5), std=(58.4, 57.1, 57.4)),
}
INPUT = (640, 416)
SIZES = [(64, 48), (1, 1), (640, 640), (1280, 720), (333, 517), (1919, 1079), (1920, 1080), (2000, 21), (3840, 2160)]


@pytest.fixture(scope="module", params=sorted(GEOMETRIES))
def geometry(request: pytest.FixtureRequest) -> InputGeometry:
    return GEOMETRIES[request.param]


@pytest.fixture(scope="module", params=[TensorProto.FLOAT, TensorProto.FLOAT16], ids=["fp32", "fp16"])
def runner(
    request: pytest.FixtureRequest, geometry: InputGeometry, backend: Backend, cache: EngineCache
) -> Iterator[PreprocessRunner]:
    from tests.gpu.runner import PreprocessRunner  # noqa: PLC0415  it needs NVIDIA's CUDA bindings

    trt = find(backend.name)
    builder = PlanBuilder(trt, Precision.FP16, cache, None)
    model = preprocess_model(geometry, *INPUT, request.param)
    name = {"geometry": geometry.fit.value, "type": request.param}
    plan, _ = cache.get(name, ".plan", lambda: builder.build(model, FRAME_SHAPES, lambda *_: None))
    runner = PreprocessRunner(plan, trt, cache)
    yield runner
    runner.close()


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_equals_the_cpu(runner: PreprocessRunner, size: tuple[int, int], geometry: InputGeometry) -> None:
    """Within 0.004 of the range of OpenCV's letterbox, and much closer to the graph on ONNX Runtime."""
    width, height = size
    noise = np.random.default_rng(1).integers(0, 256, (height, width, 3)).astype(np.uint8)
    picture = cv2.GaussianBlur(noise, (7, 7), 0).astype(np.uint8)
    got = runner.run(picture[None]).astype(np.float32)
    span = (np.reshape(geometry.std, (3, 1, 1)) if max(geometry.std) > 1 else 1.0) / 255.0
    by_opencv = by_hand(picture, geometry, *INPUT)
    assert (np.abs(got[0] - by_opencv) * span).max() < 0.004
    graph = ort.InferenceSession(preprocess_model(geometry, *INPUT).SerializeToString())
    assert (np.abs(got - graph.run([IMAGES], {FRAMES: picture[None]})[0]) * span).max() < 0.0006

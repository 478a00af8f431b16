"""INT8 and FP8: what is quantized and how, the ranges found by calibration, and what it costs in accuracy."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from engines.build.calibration import model_inputs
from engines.errors import CalibrationError, PrecisionError
from engines.evaluate.accuracy import COCO_THRESHOLDS, coco_accuracy
from engines.graphs.builder import GraphBuilder
from engines.model import Model, read_model
from engines.models import street_onnx
from engines.onnx_runtime import OnnxRuntimeSession
from engines.precision import Precision, at_precision
from engines.precision.ranges import Magnitudes
from tests.engines.layers import conv, detector, product, run, sampled, transposed_conv, types_of
from tests.engines.precisions import canonical, compared, streets

EIGHT_BITS = {Precision.INT8: TensorProto.INT8, Precision.FP8: TensorProto.FLOAT8E4M3FN}


@pytest.fixture(scope="module")
def street() -> Model:
    return read_model(street_onnx())


@pytest.fixture(scope="module", params=sorted(EIGHT_BITS), ids=lambda p: p.value)
def eight_bits(request: pytest.FixtureRequest, street: Model) -> tuple[Precision, onnx.ModelProto]:
    images = model_inputs(street, streets(12))
    return request.param, at_precision(canonical(street), request.param, images)


def quantized_layers(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    back = {node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    return [node for node in model.graph.node if node.input and node.input[0] in back]


class TestEightBits:
    def test_data_and_weights_are_symmetric_with_float16_scales(
        self, eight_bits: tuple[Precision, onnx.ModelProto]
    ) -> None:
        precision, model = eight_bits
        types = types_of(model)
        constants = {c.name: numpy_helper.to_array(c) for c in model.graph.initializer}
        writer = {name: node for node in model.graph.node for name in node.output}
        layers = quantized_layers(model)
        assert len(layers) > 20
        for layer in layers:
            assert types[layer.output[0]] == TensorProto.FLOAT16
            back, weights_back = writer[layer.input[0]], writer[layer.input[1]]
            channels = constants[writer[weights_back.input[0]].input[0]].shape[0]
            for node, shape in ((back, ()), (weights_back, (channels,))):
                there = writer[node.input[0]]
                assert (there.op_type, there.input[1:]) == ("QuantizeLinear", node.input[1:])
                assert types[there.output[0]] == EIGHT_BITS[precision]
                scale, zero = (constants[name] for name in node.input[1:])
                assert scale.dtype == np.float16
                assert scale.shape == zero.shape == shape
                assert not zero.astype(float).any()

    def test_finds_what_fp32_finds(self, eight_bits: tuple[Precision, onnx.ModelProto], street: Model) -> None:
        seen = compared(street, eight_bits[1], streets(10))
        assert sum(picture.expected for picture in seen) > 30
        assert np.mean([picture.worst_score for picture in seen]) < 0.15
        assert np.mean([picture.worst_iou for picture in seen]) > 0.8

    def test_progress_counts_images(self, street: Model) -> None:
        told: list[int] = []
        at_precision(canonical(street), Precision.INT8, model_inputs(street, streets(3)), told.append)
        assert told == [1, 2, 3]

    @pytest.mark.parametrize(
        ("build", "operator", "axis"),
        [
            (lambda g, x: conv(g, g.add("Relu", conv(g, x))), "Conv", 0),
            (lambda g, x: conv(g, conv(g, x, groups=2)), "Conv", 0),
            (lambda g, x: conv(g, transposed_conv(g, x)), "ConvTranspose", 1),
            (lambda g, x: conv(g, product(g, x, "MatMul")), "MatMul", 1),
            (lambda g, x: conv(g, product(g, x, "Gemm")), "Gemm", 1),
            (lambda g, x: conv(g, product(g, x, "Gemm", transposed=True)), "Gemm", 0),
            (lambda g, x: conv(g, sampled(g, conv(g, x), conv(g, x))), "Conv", 0),
        ],
        ids=["last not", "groups", "transposed convolution", "MatMul", "Gemm", "transposed Gemm", "positions not"],
    )
    def test_one_layer_of_each_of_these_is_quantized(
        self, build: Callable[[GraphBuilder, str], str], operator: str, axis: int
    ) -> None:
        model = detector(build)
        images = np.random.default_rng(0).normal(size=(4, 1, 64, 8, 8)).astype(np.float32)
        eight = at_precision(model, Precision.INT8, images)
        types_of(eight)
        (layer,) = quantized_layers(eight)
        assert layer.op_type == operator
        constants = {c.name: numpy_helper.to_array(c) for c in eight.graph.initializer}
        back = next(node for node in eight.graph.node if node.output[0] == layer.input[1])
        weights = next(node for node in eight.graph.node if node.output[0] == back.input[0]).input[0]
        assert [attribute.i for attribute in back.attribute if attribute.name == "axis"] == [axis]
        channels = np.moveaxis(np.abs(constants[weights].astype(np.float32)), axis, 0).reshape(64, -1)
        assert np.allclose(constants[back.input[1]], channels.max(axis=1) / 127, rtol=0.01)
        expected = run(model, images[0])
        error = np.abs(run(eight, images[0].astype(np.float16)) - expected)
        assert error.mean() < 0.02 * np.abs(expected).mean()

    @pytest.mark.parametrize(
        "build",
        [lambda g, x: conv(g, conv(g, x, groups=64)), lambda g, x: conv(g, g.add("MatMul", x, x))],
        ids=["depthwise", "products of data"],
    )
    def test_nothing_to_quantize(self, build: Callable[[GraphBuilder, str], str]) -> None:
        with pytest.raises(PrecisionError, match=r"int8 .* fp16$"):
            at_precision(detector(build), Precision.INT8)

    def test_eight_bits_without_images(self, street: Model) -> None:
        with pytest.raises(CalibrationError):
            at_precision(canonical(street), Precision.INT8)


class TestMagnitudes:
    def test_a_larger_value_doubles_the_range(self) -> None:
        values = np.random.default_rng(1).normal(size=(8, 1000)).astype(np.float32) * np.logspace(-2, 2, 8)[:, None]
        found = Magnitudes()
        for row in values.astype(np.float32):
            found.add(row)
        assert found.largest == pytest.approx(np.abs(values).max(), rel=0.001)
        even = Magnitudes()
        even.add(np.linspace(-3, 3, 100_001, dtype=np.float32))
        even.add(np.full(1, 4, np.float32))
        assert even.best_limit(127) == pytest.approx(3, rel=0.02)

    def test_an_outlier_is_clipped(self) -> None:
        found = Magnitudes()
        random = np.random.default_rng(2)
        for _ in range(20):
            found.add(random.normal(size=50_000).astype(np.float32))
        found.add(np.full(1, 20, np.float32))
        assert found.largest == pytest.approx(20, rel=0.01)
        assert 3 < found.best_limit(127) < 8

    def test_nothing_but_zeros(self) -> None:
        found = Magnitudes()
        found.add(np.zeros(10, np.float32))
        assert 0 < found.best_limit(127) <= 1


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["yolox_nano_416", "yolov8n_640_fp32.derived"])
def test_int8_costs_little_accuracy(name: str, material: Path) -> None:
    model = read_model(material / "models" / f"{name}.onnx", labels="coco")
    images = model_inputs(model, frames(material / "videos", 12))
    detector = at_precision(canonical(model), Precision.INT8, images)
    session = OnnxRuntimeSession(model, COCO_THRESHOLDS, 1, detector=detector)
    folder = material / "labelled" / "coco_val2017_128"
    accuracy = coco_accuracy(session, model.labels, folder / "instances_from_yolo.json", folder / "images")
    session.close()
    # of the model itself, which tests/engines/test_verify.py measures again
    reference = json.loads((material / "expected" / "map_coco_val2017_128.json").read_text())
    assert accuracy.map50_95 >= reference[f"models/{name}.onnx"]["val"]["mAP50_95"] - 0.03


def frames(videos: Path, count: int) -> Iterator[NDArray[np.uint8]]:
    """So many frames, spread over all videos."""
    files = sorted(videos.iterdir())
    for index, file in enumerate(files):
        video = cv2.VideoCapture(str(file))
        total = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        wanted = set(np.linspace(0, total * 0.9, -(-(count - index) // len(files)), dtype=int).tolist())
        for number in range(max(wanted) + 1):
            if video.grab() and number in wanted:
                yield video.retrieve()[1].astype(np.uint8)
        video.release()

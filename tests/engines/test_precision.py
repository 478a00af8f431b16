"""Detectors at other precisions: what keeps which type, what is refused, and what it costs in accuracy."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from engines.calibration import model_images
from engines.errors import CalibrationError, PrecisionError
from engines.graphs.builder import GraphBuilder
from engines.graphs.compose import canonical_detector
from engines.model import Model, read_model
from engines.models import street_onnx
from engines.models.street import StreetScene
from engines.onnx_runtime import OnnxRuntimeLane, batched_body
from engines.pictures import read_picture
from engines.postprocess import Thresholds
from engines.precision import Precision, at_precision
from engines.precision.ranges import Magnitudes
from engines.verify import COCO_THRESHOLDS, Comparison, coco_accuracy, compare_detections
from tests.engines.layers import (
    branched,
    conv,
    detector,
    mean_of_distribution,
    normalised,
    product,
    run,
    sampled,
    transposed_conv,
    types_of,
)
from tests.reference import MODELS

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16
EIGHT_BITS = {Precision.INT8: TensorProto.INT8, Precision.FP8: TensorProto.FLOAT8E4M3FN}
QUANTIZED_ALREADY = {"ssd_mobilenet_v1_300_nms_qdq.derived"}
CLOSE_CALLS = {"fastestdet_352": 2}
"""detections that differ: a person 6 pixels wide is found at IoU 0.95, missed by a hair on both sides"""


def canonical(model: Model) -> onnx.ModelProto:
    return canonical_detector(model, batched_body(model))


def streets(count: int) -> Iterator[NDArray[np.uint8]]:
    scene = StreetScene(640, 480, seed=4)
    return (scene.render(7.0 * t)[0] for t in range(count))


def compared(model: Model, at_precision: onnx.ModelProto, pictures: Iterable[NDArray[np.uint8]]) -> list[Comparison]:
    """What the model finds in its own precision and in another."""
    lanes = [OnnxRuntimeLane(model, Thresholds(0.3, 0.5), 1, detector=detector) for detector in (None, at_precision)]
    try:
        seen = [[lane.collect(lane.submit([picture])).detections[0] for lane in lanes] for picture in pictures]
    finally:
        for lane in lanes:
            lane.close()
    return [compare_detections(wanted, found) for wanted, found in seen]


@pytest.fixture(scope="module")
def street() -> Model:
    return read_model(street_onnx())


@pytest.fixture(scope="module", params=sorted(EIGHT_BITS), ids=lambda p: p.value)
def eight_bits(request: pytest.FixtureRequest, street: Model) -> tuple[Precision, onnx.ModelProto]:
    images = model_images(street, streets(12))
    return request.param, at_precision(canonical(street), request.param, images)


@dataclass(frozen=True)
class Case:
    build: Callable[[GraphBuilder, str], str]
    half: frozenset[str]
    """operators that give float16"""
    whole: frozenset[str]
    """operators that give float32"""


def case(build: Callable[[GraphBuilder, str], str], half: str = "", whole: str = "") -> Case:
    return Case(build, frozenset(half.split()), frozenset(whole.split()))


def relu(graph: GraphBuilder, x: str) -> str:
    return graph.add("Relu", x)


CASES = {
    "after the last layer": case(
        lambda g, x: g.add("Sigmoid", conv(g, relu(g, conv(g, x)))), half="Conv Relu", whole="Sigmoid"
    ),
    "without a layer": case(relu, whole="Relu"),
    "normalisation": case(
        lambda g, x: conv(g, normalised(g, relu(g, conv(g, x)))),
        half="Conv Relu Div",
        whole="ReduceMean Sub Mul Add Sqrt",
    ),
    "mean of a distribution": case(
        lambda g, x: mean_of_distribution(g, product(g, x, "MatMul")), half="MatMul", whole="Softmax Conv Slice"
    ),
    "positions to sample at": case(
        lambda g, x: conv(g, sampled(g, relu(g, conv(g, x)), conv(g, x))),
        half="Conv Relu",
        whole="Tanh Slice Transpose GridSample",
    ),
    "order of candidates": case(
        lambda g, x: conv(g, g.add_many("TopK", g.add("Sigmoid", conv(g, x)), g.const([8]), outputs=2)[0]),
        half="Conv",
        whole="Sigmoid TopK",
    ),
    "sizes": case(lambda g, x: conv(g, twice_as_large(g, conv(g, x))), half="Conv Resize", whole="Mul"),
    "branches": case(lambda g, x: conv(g, branched(g, relu(g, conv(g, x)))), half="Conv", whole="Relu If"),
}


def twice_as_large(graph: GraphBuilder, x: str) -> str:
    """Resized to a size that is computed in floats, as old exporters do it."""
    shape = graph.add("Shape", x)
    sizes = graph.add("Mul", graph.cast(graph.slice(shape, 2, 4, 0), FLOAT), graph.const([2, 2], np.float32))
    sizes = graph.add("Concat", graph.slice(shape, 0, 2, 0), graph.cast(sizes, TensorProto.INT64), axis=0)
    return graph.add("Resize", x, "", "", sizes)


class TestTypes:
    @pytest.mark.parametrize("case", CASES.values(), ids=CASES)
    def test_float32_where_rounding_would_show(self, case: Case) -> None:
        model = detector(case.build)
        half = at_precision(model, Precision.FP16)
        types = types_of(half)
        assert (types["images"], types["boxes"]) == (HALF, FLOAT)
        given = {(node.op_type, types[node.output[0]]) for node in half.graph.node if "/float" not in node.name}
        for operators, kind in ((case.half, HALF), (case.whole, FLOAT)):
            assert {given_kind for operator, given_kind in given if operator in operators} <= {kind}
            assert operators <= {operator for operator, _ in given}
        x = np.random.default_rng(0).normal(size=(1, 64, 8, 8)).astype(np.float16)
        assert np.allclose(run(half, x), run(model, x.astype(np.float32)), rtol=0.01, atol=0.01)

    def test_where_and_how_much_to_resize_stays_float32(self) -> None:
        """TensorRT takes nothing else."""

        def build(graph: GraphBuilder, x: str) -> str:
            region, factors = (graph.const(values, np.float32) for values in ([0] * 4 + [1] * 4, [1, 1, 2, 2]))
            return conv(graph, graph.add("Resize", conv(graph, x), region, factors))

        half = at_precision(detector(build), Precision.FP16)
        (resize,) = (node for node in half.graph.node if node.op_type == "Resize")
        types = {constant.name: constant.data_type for constant in half.graph.initializer}
        assert [types[name] for name in resize.input[1:]] == [FLOAT, FLOAT]
        assert types_of(half)[resize.output[0]] == HALF

    def test_values_beyond_float16_stay_finite_and_above_zero(self) -> None:
        def build(graph: GraphBuilder, x: str) -> str:
            shifted = graph.add("Add", x, graph.const(1e-12, np.float32))
            return conv(graph, graph.add("Clip", shifted, "", graph.const(1e9, np.float32)))

        constants = [numpy_helper.to_array(c) for c in at_precision(detector(build), Precision.FP16).graph.initializer]
        assert sorted(float(c) for c in constants if c.ndim == 0) == [2.0**-24, 65504.0]

    def test_fp32_of_a_model_in_float16_is_float32(self, street: Model) -> None:
        half = at_precision(canonical(street), Precision.FP16)
        whole = at_precision(half, Precision.FP32)
        assert HALF not in {*types_of(whole).values(), *(constant.data_type for constant in whole.graph.initializer)}

    def test_fp32_of_a_model_in_float32_is_the_model(self, street: Model) -> None:
        model = canonical(street)
        assert at_precision(model, Precision.FP32) is model

    @pytest.mark.parametrize("precision", [Precision.FP16, Precision.INT8], ids=lambda p: p.value)
    def test_the_model_given_is_left_alone(self, precision: Precision, street: Model) -> None:
        model = canonical(street)
        before = model.SerializeToString(deterministic=True)
        at_precision(model, precision, model_images(street, streets(1)))
        assert model.SerializeToString(deterministic=True) == before


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
            assert types[layer.output[0]] == HALF
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
        at_precision(canonical(street), Precision.INT8, model_images(street, streets(3)), told.append)
        assert told == [1, 2, 3]

    @pytest.mark.parametrize(
        ("build", "operator", "axis"),
        [
            (lambda g, x: conv(g, relu(g, conv(g, x))), "Conv", 0),
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
        with pytest.raises(PrecisionError) as raised:
            at_precision(detector(build), Precision.INT8)
        assert str(raised.value) == "the model has no layer that int8 would make faster; use fp16"


class TestMagnitudes:
    def test_a_larger_value_doubles_the_range_and_loses_none(self) -> None:
        values = np.random.default_rng(1).normal(size=(8, 1000)).astype(np.float32) * np.logspace(-2, 2, 8)[:, None]
        found = Magnitudes()
        for row in values.astype(np.float32):
            found.add(row)
        assert found.largest == pytest.approx(np.abs(values).max(), rel=0.001)
        even = Magnitudes()
        even.add(np.linspace(-3, 3, 100_001, dtype=np.float32))
        even.add(np.full(1, 4, np.float32))
        assert even.best_limit(127) == pytest.approx(3, rel=0.02)

    def test_an_outlier_is_cut_off(self) -> None:
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


def quantized(zero: NDArray[Any] | np.generic) -> onnx.ModelProto:
    """A model whose first layer reads data that were quantized by its exporter."""

    def build(graph: GraphBuilder, x: str) -> str:
        scaling = graph.const(0.1, np.float32), graph.const(zero, zero.dtype)
        data = graph.add("DequantizeLinear", graph.add("QuantizeLinear", x, *scaling), *scaling)
        return conv(graph, relu(graph, conv(graph, data)))

    return detector(build)


def dynamically_quantized() -> onnx.ModelProto:
    def build(graph: GraphBuilder, x: str) -> str:
        data, scale, zero = graph.add_many("DynamicQuantizeLinear", x, outputs=3)
        return conv(graph, graph.add("DequantizeLinear", data, scale, zero))

    return detector(build)


def with_foreign_operator() -> onnx.ModelProto:
    model = detector(lambda g, x: conv(g, g.add("Gelu", x)))
    model.graph.node[0].domain, model.graph.node[0].name = "com.microsoft", "activation"
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return model


ONLY_ONNX_RUNTIME = (
    "which only ONNX Runtime runs; set the precision to fp32, which leaves it as it is, or export it unquantized"
)
REFUSED = {
    "unsigned": (
        quantized(np.uint8(0)),
        Precision.FP16,
        f"the model is quantized already, with unsigned integers, {ONLY_ONNX_RUNTIME}",
    ),
    "zero point": (
        quantized(np.int8(3)),
        Precision.FP16,
        f"the model is quantized already, with zero points other than 0, {ONLY_ONNX_RUNTIME}",
    ),
    "integer operator": (
        dynamically_quantized(),
        Precision.FP16,
        f"the model is quantized already, with the integer operator DynamicQuantizeLinear, {ONLY_ONNX_RUNTIME}",
    ),
    "twice": (
        quantized(np.int8(0)),
        Precision.INT8,
        (
            "the model is quantized already, so it cannot be made int8; set the precision to fp16, which keeps its "
            "8-bit layers, or export it unquantized"
        ),
    ),
    "foreign operator": (
        with_foreign_operator(),
        Precision.FP16,
        (
            "what the model's operator Gelu (node activation) gives is of unknown type; export the model with ONNX's "
            "own operators, or set the precision to fp32"
        ),
    ),
}


class TestRefused:
    @pytest.mark.parametrize(("model", "precision", "message"), REFUSED.values(), ids=REFUSED)
    def test_with_one_sentence(self, model: onnx.ModelProto, precision: Precision, message: str) -> None:
        with pytest.raises(PrecisionError) as raised:
            at_precision(model, precision, [np.zeros((1, 64, 8, 8), np.float32)])
        assert str(raised.value) == message

    @pytest.mark.parametrize("name", ["foreign operator", "unsigned", "zero point"])
    def test_fp32_leaves_it_as_it_is(self, name: str) -> None:
        model = REFUSED[name][0]
        assert at_precision(model, Precision.FP32) is model

    def test_eight_bits_without_pictures(self, street: Model) -> None:
        with pytest.raises(CalibrationError) as raised:
            at_precision(canonical(street), Precision.INT8)
        assert str(raised.value) == "there are no calibration pictures; 8-bit precisions need some of your own scenes"

    def test_symmetric_layers_are_kept_at_fp16(self) -> None:
        half = at_precision(quantized(np.int8(0)), Precision.FP16)
        types = types_of(half)
        assert {types[node.output[0]] for node in half.graph.node if node.op_type == "DequantizeLinear"} == {HALF}


class TestMaterial:
    @pytest.mark.parametrize("name", sorted(set(MODELS) - QUANTIZED_ALREADY))
    def test_fp16_finds_what_fp32_finds(self, name: str, material: Path) -> None:
        model = read_model(material / "models" / f"{name}.onnx", labels="coco")
        half = at_precision(canonical(model), Precision.FP16)
        seen = compared(model, half, map(read_picture, sorted((material / "images").iterdir())))
        assert sum(picture.expected for picture in seen) > 20
        assert sum(picture.missed + picture.unexpected for picture in seen) <= CLOSE_CALLS.get(name, 0)

    @pytest.mark.timeout(300)
    @pytest.mark.parametrize(("name", "pictures"), [("yolox_nano_416", 48), ("yolov8n_640_fp32.derived", 32)])
    def test_int8_costs_little_accuracy(self, name: str, pictures: int, material: Path) -> None:
        model = read_model(material / "models" / f"{name}.onnx", labels="coco")
        images = model_images(model, frames(material / "videos", pictures))
        detector = at_precision(canonical(model), Precision.INT8, images)
        lane = OnnxRuntimeLane(model, COCO_THRESHOLDS, 1, detector=detector)
        folder = material / "labelled" / "coco_val2017_128"
        accuracy = coco_accuracy(lane, model.labels, folder / "instances_from_yolo.json", folder / "images")
        lane.close()
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

"""Detectors at other precisions: what keeps which type, what is refused, and what is found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from engines.build.calibration import model_inputs
from engines.errors import PrecisionError
from engines.graphs.builder import GraphBuilder
from engines.image_file import read_image
from engines.model import Model, read_model
from engines.models import street_onnx
from engines.precision import Precision, at_precision
from tests.engines.layers import (
    branched,
    conv,
    detector,
    mean_of_distribution,
    normalised,
    product,
    run,
    sampled,
    types_of,
)
from tests.engines.precisions import agrees_but_for_rounding, canonical, compared, streets, with_coarse_weights
from tests.reference import MODELS

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16
QUANTIZED_ALREADY = {"ssd_mobilenet_v1_300_nms_qdq.derived"}


@pytest.fixture(scope="module")
def street() -> Model:
    return read_model(street_onnx())


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
    def test_sensitive_nodes_stay_float32(self, case: Case) -> None:
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

    def test_resize_scales_and_sizes_stay_float32(self) -> None:
        """TensorRT takes nothing else."""

        def build(graph: GraphBuilder, x: str) -> str:
            region, factors = (graph.const(values, np.float32) for values in ([0] * 4 + [1] * 4, [1, 1, 2, 2]))
            return conv(graph, graph.add("Resize", conv(graph, x), region, factors))

        half = at_precision(detector(build), Precision.FP16)
        (resize,) = (node for node in half.graph.node if node.op_type == "Resize")
        types = {constant.name: constant.data_type for constant in half.graph.initializer}
        assert [types[name] for name in resize.input[1:]] == [FLOAT, FLOAT]
        assert types_of(half)[resize.output[0]] == HALF

    def test_constants_beyond_float16_are_clamped(self) -> None:
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
    def test_the_given_model_is_not_modified(self, precision: Precision, street: Model) -> None:
        model = canonical(street)
        before = model.SerializeToString(deterministic=True)
        at_precision(model, precision, model_inputs(street, streets(1)))
        assert model.SerializeToString(deterministic=True) == before


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
    "which only ONNX Runtime runs; set the backend to onnxruntime and the precision to fp32, or export the model "
    "unquantized"
)
REFUSED = {
    "unsigned": (
        quantized(np.uint8(0)),
        Precision.FP16,
        f"the model is quantized already, with unsigned integers, {ONLY_ONNX_RUNTIME}",
    ),
    "unsigned, twice": (
        quantized(np.uint8(0)),
        Precision.INT8,
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
            "the output of the model's operator Gelu (node activation) has an unknown type; export the model with "
            "ONNX's own operators, or set the precision to fp32"
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
    def test_fp32_returns_the_model_unchanged(self, name: str) -> None:
        model = REFUSED[name][0]
        assert at_precision(model, Precision.FP32) is model

    def test_symmetric_layers_are_kept_at_fp16(self) -> None:
        half = at_precision(quantized(np.int8(0)), Precision.FP16)
        types = types_of(half)
        assert {types[node.output[0]] for node in half.graph.node if node.op_type == "DequantizeLinear"} == {HALF}


def images_of(material: Path) -> Iterator[NDArray[np.uint8]]:
    return map(read_image, sorted((material / "images").iterdir()))


class TestMaterial:
    @pytest.mark.parametrize("name", sorted(set(MODELS) - QUANTIZED_ALREADY))
    def test_fp16_finds_what_fp32_finds(self, name: str, material: Path) -> None:
        model = read_model(material / "models" / f"{name}.onnx", labels="coco")
        half = at_precision(canonical(model), Precision.FP16)
        seen = compared(model, half, images_of(material))
        assert sum(picture.expected for picture in seen) > 20
        assert agrees_but_for_rounding(seen), seen

    @pytest.mark.parametrize("name", ["deimv2_atto_320", "yolov5n_640_fp16weights", "nanodet_m_320"])
    def test_a_broken_conversion_to_fp16_finds_something_else(self, name: str, material: Path) -> None:
        """The tolerance for rounding does not hide it: 42 of 46, 27 of 60 and 27 of 39 detections are missed."""
        model = read_model(material / "models" / f"{name}.onnx", labels="coco")
        broken = with_coarse_weights(at_precision(canonical(model), Precision.FP16))
        assert not agrees_but_for_rounding(compared(model, broken, images_of(material)))

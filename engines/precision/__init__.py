"""FP32, FP16, INT8 and FP8: rewrites a canonical detector so that its graph states its types (docs/precision.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from engines.errors import PrecisionError
from engines.precision.graph_index import GraphIndex
from engines.precision.quantize import FP8, INT8, OPSET, QuantizedType, quantized
from engines.precision.ranges import Magnitudes, magnitudes
from engines.precision.retype import in_float16, in_float32
from engines.precision.sensitive import float32_nodes, quantizable_layers


class Precision(str, Enum):
    """The number format that a detector computes in."""

    FP32 = "fp32"
    FP16 = "fp16"
    """with FP32 where rounding would change boxes and scores visibly"""
    INT8 = "int8"
    """most convolutions and matrix products in calibrated 8-bit integers, the rest as in FP16"""
    FP8 = "fp8"
    """most convolutions and matrix products in calibrated 8-bit floats (E4M3), the rest as in FP16"""


_EIGHT_BITS = {Precision.INT8: INT8, Precision.FP8: FP8}
_QUANTIZERS = frozenset({"QuantizeLinear", "DequantizeLinear"})
_INTEGER_OPERATORS = frozenset(
    {"ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul", "DynamicQuantizeLinear"}
)
_SYMMETRIC = frozenset({TensorProto.INT8, TensorProto.FLOAT8E4M3FN})


def at_precision(
    detector: onnx.ModelProto,
    precision: Precision,
    images: Iterable[NDArray[Any]] = (),
    progress: Callable[[int], None] = lambda _: None,
) -> onnx.ModelProto:
    """A canonical detector at a precision; its outputs keep their types.

    A float input becomes float32 at FP32 and float16 otherwise. INT8 and FP8 are calibrated on `images`, each [1, ...]
    as the detector takes it; `progress` gets the number of images processed. Raises PrecisionError, and
    CalibrationError where there are no images.
    """
    if precision is Precision.FP32:
        return in_float32(GraphIndex.of(detector)) if _holds_float16(detector) else detector
    if precision is Precision.FP16:
        graph = GraphIndex.of(detector, OPSET if _is_quantized(detector) else 0)
        _refuse_asymmetric(graph)
    else:
        graph = GraphIndex.of(_quantized(detector, precision, images, progress))
    return in_float16(graph, float32_nodes(graph))


def _quantized(
    detector: onnx.ModelProto, precision: Precision, images: Iterable[NDArray[Any]], progress: Callable[[int], None]
) -> onnx.ModelProto:
    if _is_quantized(detector):
        _refuse_asymmetric(GraphIndex.of(detector, OPSET))
        raise PrecisionError(
            f"the model is quantized already, so it cannot be made {precision.value}; set the precision to fp16, which "
            "keeps its 8-bit layers, or export it unquantized"
        )
    graph = GraphIndex.of(at_precision(detector, Precision.FP32), OPSET)
    layers = quantizable_layers(graph)
    if not layers:
        raise PrecisionError(
            f"the model has no layer that {precision.value} would make faster; set the precision to fp16"
        )
    data = {layer: graph.nodes[layer].input[0] for layer in layers}
    kind = _EIGHT_BITS[precision]
    found = magnitudes(graph.model, frozenset(data.values()), images, progress)
    return quantized(graph, {layer: _range(found[name], kind) for layer, name in data.items()}, kind)


def _range(found: Magnitudes, kind: QuantizedType) -> float:
    """The clipping limit: for floats the largest magnitude, since large values cost them no resolution near zero."""
    return found.best_limit(int(kind.largest)) if kind.is_integer else found.largest


def _is_quantized(detector: onnx.ModelProto) -> bool:
    return any(node.op_type in _QUANTIZERS | _INTEGER_OPERATORS for node in detector.graph.node)


def _refuse_asymmetric(graph: GraphIndex) -> None:
    """Raises PrecisionError for 8-bit layers that no TensorRT supports."""
    for node in graph.nodes:
        if node.op_type in _INTEGER_OPERATORS:
            what = f"with the integer operator {node.op_type}"
        elif node.op_type == "QuantizeLinear" and graph.types[node.output[0]] not in _SYMMETRIC:
            what = "with unsigned integers"
        elif node.op_type in _QUANTIZERS and _has_zero_point(node, graph):
            what = "with zero points other than 0"
        else:
            continue
        raise PrecisionError(
            f"the model is quantized already, {what}, which only ONNX Runtime runs; set the backend to "
            "onnxruntime and the precision to fp32, or export the model unquantized"
        )


def _has_zero_point(node: onnx.NodeProto, graph: GraphIndex) -> bool:
    zero = graph.constants.get(node.input[2]) if len(node.input) > 2 else None
    return zero is not None and bool(numpy_helper.to_array(zero).astype(float).any())


def _holds_float16(detector: onnx.ModelProto) -> bool:
    graph = detector.graph
    tensors = [attribute.t for node in graph.node for attribute in node.attribute if attribute.HasField("t")]
    return (
        any(tensor.data_type == TensorProto.FLOAT16 for tensor in (*graph.initializer, *tensors))
        or any(value.type.tensor_type.elem_type == TensorProto.FLOAT16 for value in graph.input)
        or any(helper.get_node_attr_value(n, "to") == TensorProto.FLOAT16 for n in graph.node if n.op_type == "Cast")
    )

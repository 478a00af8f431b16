"""The smallest networks that show whether TensorRT can build something."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto, helper

from engines.graphs.builder import GraphBuilder
from engines.precision import Precision

_OPSET = 19  # the first with 16-bit scales
_CHANNELS = 8
_QUANTIZED = {Precision.INT8: TensorProto.INT8, Precision.FP8: TensorProto.FLOAT8E4M3FN}


def convolution(precision: Precision) -> onnx.ModelProto:
    """A 3x3 convolution; with INT8 and FP8 as precision.at_precision writes it, quantized data and weights."""
    real = TensorProto.FLOAT if precision is Precision.FP32 else TensorProto.FLOAT16
    shape = [1, _CHANNELS, 16, 16]
    graph, builder = _graph([_value("x", real, shape)], [_value("y", real, shape)])
    dtype = helper.tensor_dtype_to_np_dtype(real)
    data, weights = "x", builder.const(np.ones((_CHANNELS, _CHANNELS, 3, 3)), dtype)
    if precision in _QUANTIZED:
        data = _through(graph, builder, data, builder.const(0.1, dtype), _QUANTIZED[precision], [])
        scales = builder.const(np.full(_CHANNELS, 0.1), dtype)
        weights = _through(graph, builder, weights, scales, _QUANTIZED[precision], [_CHANNELS], axis=0)
    builder.add("Conv", data, weights, output="y", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    return _model(graph)


def _nms() -> onnx.ModelProto:
    inputs = [_value("boxes", TensorProto.FLOAT, [1, 8, 4]), _value("scores", TensorProto.FLOAT, [1, 2, 8])]
    graph, builder = _graph(inputs, [_value("y", TensorProto.INT64, [None, 3])])
    builder.add("NonMaxSuppression", "boxes", "scores", builder.const(4), output="y")
    return _model(graph)


def _non_zero() -> onnx.ModelProto:
    graph, builder = _graph([_value("x", TensorProto.FLOAT, [1, 8])], [_value("y", TensorProto.INT64, [2, None])])
    builder.add("NonZero", "x", output="y")
    return _model(graph)


OPERATORS: dict[str, Callable[[], onnx.ModelProto]] = {"NonMaxSuppression": _nms, "NonZero": _non_zero}
"""operators that detectors are exported with and that not every TensorRT can run"""


def _through(
    graph: onnx.GraphProto, builder: GraphBuilder, value: str, scale: str, kind: int, shape: list[int], axis: int = 1
) -> str:
    """`value`, quantized and back."""
    zero = helper.make_tensor(f"{value}/zero", kind, shape, np.zeros(shape))
    graph.initializer.append(zero)
    quantized = builder.add("QuantizeLinear", value, scale, zero.name, axis=axis)
    return builder.add("DequantizeLinear", quantized, scale, zero.name, axis=axis)


def _value(name: str, kind: int, shape: list[int | None] | list[int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def _graph(
    inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto]
) -> tuple[onnx.GraphProto, GraphBuilder]:
    graph = helper.make_graph([], "probe", inputs, outputs)
    return graph, GraphBuilder(graph, _OPSET, "probe")


def _model(graph: onnx.GraphProto) -> onnx.ModelProto:
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=9)

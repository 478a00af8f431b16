"""Explicit quantization: QuantizeLinear and DequantizeLinear before the data and weights of chosen layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from engines.precision.graph_index import GraphIndex

OPSET = 19
"""the first with float16 scales and with 8-bit floats"""
_LEAST_SCALE = 2.0**-20
"""smaller ones lose their digits in float16"""


@dataclass(frozen=True, slots=True)
class QuantizedType:
    """An 8-bit type for weights and activations."""

    dtype: int
    """an onnx.TensorProto.DataType"""
    largest: float
    """largest magnitude"""

    is_integer: bool


INT8 = QuantizedType(TensorProto.INT8, 127.0, is_integer=True)
FP8 = QuantizedType(TensorProto.FLOAT8E4M3FN, 448.0, is_integer=False)


def quantized(graph: GraphIndex, layers: Mapping[int, float], kind: QuantizedType) -> onnx.ModelProto:
    """The model with `layers` quantized; `layers` maps a node to the largest magnitude of its data.

    Symmetric, with zero points of 0 and one scale per output channel of the weights. Biases are not quantized.
    """
    nodes: list[NodeProto] = []
    constants = list(graph.model.graph.initializer)
    made: dict[str, str] = {}
    for index, node in enumerate(graph.nodes):
        new = NodeProto()
        new.CopyFrom(node)
        if index in layers:
            data, weights = node.input[:2]
            if data not in made:
                made[data] = _quantize_dequantize(
                    data, np.asarray(layers[index] / kind.largest), None, kind, nodes, constants
                )
            if weights not in made:
                axis = channel_axis(node)
                values = np.abs(numpy_helper.to_array(graph.constants[weights]).astype(np.float32))
                largest = values.max(axis=tuple(a for a in range(values.ndim) if a != axis))
                made[weights] = _quantize_dequantize(weights, largest / kind.largest, axis, kind, nodes, constants)
            new.input[0], new.input[1] = made[data], made[weights]
        nodes.append(new)
    model = graph.model
    rewritten = helper.make_graph(nodes, model.graph.name, model.graph.input, model.graph.output, constants)
    return helper.make_model(rewritten, opset_imports=model.opset_import, ir_version=model.ir_version)


def channel_axis(node: NodeProto) -> int:
    """The axis of a layer's weights along which its output channels lie."""
    transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
    return 0 if node.op_type == "Conv" or transposed else 1


def _quantize_dequantize(
    name: str,
    scale: NDArray[np.floating],
    axis: int | None,
    kind: QuantizedType,
    nodes: list[NodeProto],
    constants: list[TensorProto],
) -> str:
    """Appends a quantize-dequantize pair behind the tensor `name`; returns the name of its output."""
    # rounded to float16, so that converting the model to float16 changes no scale
    exact = np.maximum(scale, _LEAST_SCALE).astype(np.float16).astype(np.float32)
    constants.append(numpy_helper.from_array(exact, f"{name}/scale"))
    zeros = np.zeros(exact.shape, helper.tensor_dtype_to_np_dtype(kind.dtype))
    constants.append(numpy_helper.from_array(zeros, f"{name}/zero"))
    scaling = [f"{name}/scale", f"{name}/zero"]
    attributes: dict[str, Any] = {} if axis is None else {"axis": axis}
    steps = (("QuantizeLinear", name, f"{name}/8bit"), ("DequantizeLinear", f"{name}/8bit", f"{name}/quantized"))
    for operator, source, target in steps:
        nodes.append(helper.make_node(operator, [source, *scaling], [target], name=target, **attributes))
    return f"{name}/quantized"

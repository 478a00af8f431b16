"""Small detectors, layer by layer: an input `images` of 64 channels, whatever a test puts behind it, one output."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper

from engines.graphs.builder import GraphBuilder
from engines.onnx_runtime import quantizing_in_float32
from engines.session_options import session_options

CHANNELS = 64
SIZE = 8
_SHAPE = [1, CHANNELS, SIZE, SIZE]
_OPSET = 17


def detector(build: Callable[[GraphBuilder, str], str]) -> onnx.ModelProto:
    """A model that gives what `build` makes of its input."""
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, _SHAPE)
    graph = helper.make_graph([], "detector", [images], [])
    builder = GraphBuilder(graph, _OPSET, "model")
    builder.add("Identity", build(builder, "images"), output="boxes")
    graph.output.append(helper.make_tensor_value_info("boxes", TensorProto.FLOAT, [None] * 4))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=8)


def run(model: onnx.ModelProto, x: NDArray[Any]) -> NDArray[Any]:
    """The output for images [1, 64, 8, 8]."""
    options = session_options()
    options.add_session_config_entry("session.disable_quant_qdq", "1")  # as the CPU session has it
    rounding = quantizing_in_float32(model)
    session = ort.InferenceSession(rounding.SerializeToString(), options, providers=["CPUExecutionProvider"])
    output: NDArray[Any] = session.run(None, {"images": x})[0]
    return output


def types_of(model: onnx.ModelProto) -> dict[str, int]:
    """Of every tensor; a node whose inputs do not go together is an error."""
    onnx.checker.check_model(model)
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True, check_type=True).graph
    return {value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.input, *graph.output)}


def conv(graph: GraphBuilder, x: str, groups: int = 1) -> str:
    """A convolution that keeps the shape."""
    weights = np.random.default_rng(0).normal(size=(CHANNELS, CHANNELS // groups, 1, 1)) / CHANNELS**0.5
    return graph.add("Conv", x, graph.const(weights, np.float32), group=groups)


def transposed_conv(graph: GraphBuilder, x: str) -> str:
    """A transposed convolution that keeps the shape."""
    weights = np.random.default_rng(1).normal(size=(CHANNELS, CHANNELS, 1, 1)) / CHANNELS**0.5
    return graph.add("ConvTranspose", x, graph.const(weights, np.float32))


def product(graph: GraphBuilder, x: str, op: str, transposed: bool = False) -> str:
    """A MatMul or Gemm of the values of every cell with a matrix; keeps the shape."""
    weights = np.random.default_rng(2).normal(size=(CHANNELS, CHANNELS)) / CHANNELS**0.5
    rows = graph.reshape(graph.add("Transpose", x, perm=[0, 2, 3, 1]), -1, CHANNELS)
    attributes: dict[str, Any] = {"transB": 1} if transposed else {}
    result = graph.add(op, rows, graph.const(weights, np.float32), **attributes)
    return graph.add("Transpose", graph.reshape(result, 1, SIZE, SIZE, CHANNELS), perm=[0, 3, 1, 2])


def normalised(graph: GraphBuilder, x: str) -> str:
    """A layer normalisation as exporters write it out."""
    away = graph.add("Sub", x, graph.add("ReduceMean", x, axes=[1]))
    variance = graph.add("ReduceMean", graph.add("Mul", away, away), axes=[1])
    return graph.add("Div", away, graph.add("Sqrt", graph.add("Add", variance, graph.const(1e-5, np.float32))))


def mean_of_distribution(graph: GraphBuilder, x: str) -> str:
    """The mean of a distribution over the channels, by a convolution with few weights."""
    steps = graph.const(np.reshape(np.arange(CHANNELS - 1) / CHANNELS, (1, -1, 1, 1)), np.float32)
    return graph.add("Conv", graph.add("Softmax", graph.slice(x, 0, CHANNELS - 1, 1), axis=1), steps)


def sampled(graph: GraphBuilder, x: str, positions: str) -> str:
    """`x` at positions that are given by the first two channels of `positions`."""
    grid = graph.add("Tanh", graph.add("Transpose", graph.slice(positions, 0, 2, 1), perm=[0, 2, 3, 1]))
    return graph.add("GridSample", x, grid)


def branched(graph: GraphBuilder, x: str) -> str:
    """An If whose branches read `x`."""
    branches: dict[str, Any] = {}
    for name, op in (("then_branch", "Abs"), ("else_branch", "Neg")):
        result = helper.make_tensor_value_info(f"{name}/result", TensorProto.FLOAT, [None] * 4)
        branches[name] = helper.make_graph([helper.make_node(op, [x], [result.name])], name, [], [result])
    return graph.add("If", graph.const(True, np.bool_), **branches)

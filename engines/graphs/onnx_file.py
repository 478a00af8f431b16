"""Loads an ONNX file: weights included, nodes sorted, opset 11 or later, one image input."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, external_data_helper, helper

from engines.errors import ModelError
from engines.graphs.builder import GraphBuilder

_OLDEST_OPSET = 11  # the heads use Clip, Pad and TopK as they are since then
_UPGRADED_OPSET = 17
_IMAGE_TYPES = frozenset({TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.UINT8})
_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.ms.internal.nhwc"})
"""of operators that ONNX Runtime has"""
_SIZES = "orig_target_sizes"
_MASK = "pixel_mask"
"""of DETR: which pixels are not padding"""


@dataclass(frozen=True, slots=True)
class ImageInput:
    """The image input of a model."""

    value: onnx.ValueInfoProto
    planar: bool
    """[B, 3, height, width] and not [B, height, width, 3]"""
    width: int
    """pixels"""
    height: int
    """pixels"""

    @property
    def name(self) -> str:
        """The name of the input in the graph."""
        return self.value.name

    @property
    def dtype(self) -> int:
        """An onnx.TensorProto.DataType: FLOAT, FLOAT16 or UINT8."""
        return self.value.type.tensor_type.elem_type


def load(path: Path) -> onnx.ModelProto:
    """The model in the file with its external weights, its nodes in topological order.

    Raises ModelError.
    """
    if not path.is_file():
        raise ModelError(f"{path}: there is no such model file")
    damaged = f"{path}: is not an ONNX model, or is damaged; export it again"
    try:
        proto = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's and onnx's own errors share no base class
        raise ModelError(damaged) from error
    if not proto.graph.node or not proto.opset_import:  # protobuf parses many other files as an empty message
        raise ModelError(damaged)
    try:
        external_data_helper.load_external_data_for_model(proto, str(path.parent))
    except Exception as error:  # as above
        raise ModelError(
            f"{path}: the file with its weights is missing or damaged: {error}; put it beside the model"
        ) from error
    _refuse_plugins(path, proto)
    _sort(proto.graph)
    return _upgraded(path, proto)


def opset_of(proto: onnx.ModelProto) -> int:
    """The version of the default operator domain."""
    return next((o.version for o in proto.opset_import if o.domain in {"", "ai.onnx"}), 0)


def node_inputs(node: onnx.NodeProto) -> frozenset[str]:
    """The tensors that a node reads, its subgraphs included."""
    return frozenset(name for name in node.input if name) | subgraph_inputs(node)


def subgraph_inputs(node: onnx.NodeProto) -> frozenset[str]:
    """The tensors that the subgraphs of a node read, such as the branches of an If."""
    inner = (attribute.g for attribute in node.attribute if attribute.HasField("g"))
    return frozenset[str]().union(*(node_inputs(part) for graph in inner for part in graph.node))


def shape_of(value: onnx.ValueInfoProto) -> tuple[int | None, ...]:
    """The shape of a value; None for a dimension that is not fixed."""
    dims = value.type.tensor_type.shape.dim
    return tuple(dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None for dim in dims)


def image_input(
    path: Path, proto: onnx.ModelProto, imgsz: str | None, given: tuple[int, int] | None = None
) -> ImageInput:
    """The image input; its height and width are fixed in `proto`.

    `imgsz` is the size in the metadata, '[height, width]'; `given` is height and width as the user wants them. Raises
    ModelError.
    """
    inputs = _inputs(proto)
    pictures = [value for value in inputs if len(shape_of(value)) == 4]
    if len(pictures) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise ModelError(f"{path}: a detector has one image input, this model has: {names}")
    value = pictures[0]
    shape, kind = shape_of(value), value.type.tensor_type.elem_type
    planar = shape[1] == 3 or (shape[1] is None and shape[3] != 3)
    if not planar and shape[3] != 3:
        raise ModelError(
            f"{path}: the input {value.name} is not an image [batch, 3, height, width] or [batch, height, width, 3]"
        )
    if kind not in _IMAGE_TYPES:
        name = TensorProto.DataType.Name(kind).lower()
        raise ModelError(f"{path}: the input {value.name} is of type {name}; export it with float, float16 or uint8")
    height, width = _size(path, shape[2:] if planar else shape[1:3], imgsz, given)
    fixed = (3, height, width) if planar else (height, width, 3)
    for dim, size in zip(value.type.tensor_type.shape.dim[1:], fixed, strict=True):
        dim.dim_value = size
    return ImageInput(value, planar, width, height)


def feed_sizes(path: Path, proto: onnx.ModelProto, picture: ImageInput) -> bool:
    """Replaces the inputs for the size of the image by constants; whether there were any.

    Raises ModelError for any other input.
    """
    others = [value for value in _inputs(proto) if value.name != picture.name]
    for value in others:
        if value.name == _MASK:
            _feed(proto, picture, value, np.ones((1, picture.height, picture.width)))
            continue
        row = {"im_shape": (picture.height, picture.width), "scale_factor": (1, 1)}.get(value.name)
        integer = value.type.tensor_type.elem_type in {TensorProto.INT32, TensorProto.INT64}
        if row is None and (integer or value.name == _SIZES) and shape_of(value)[1:] == (2,):
            row = (picture.width, picture.height)
        if row is None:
            raise ModelError(f"{path}: the input {value.name} is unknown to ospreyd; export the model without it")
        _feed(proto, picture, value, np.array([row]))
    return any(value.name != _MASK for value in others)


def _feed(proto: onnx.ModelProto, picture: ImageInput, value: onnx.ValueInfoProto, row: NDArray[Any]) -> None:
    """Replaces an input by `row` [1, ...] for every image of a batch."""
    graph = onnx.GraphProto()
    builder = GraphBuilder(graph, opset_of(proto), f"{value.name}/row")
    rows = builder.const(row, helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))
    batch = builder.slice(builder.add("Shape", picture.name), 0, 1, 0)
    builder.add("Expand", rows, builder.add("Concat", batch, builder.const(row.shape[1:]), axis=0), output=value.name)
    nodes = [*graph.node, *proto.graph.node]
    proto.graph.initializer.extend(graph.initializer)
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    proto.graph.input.remove(value)


def fix_batch(proto: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """A copy of the model whose input of that name takes one image."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(proto)
    next(v for v in fixed.graph.input if v.name == name).type.tensor_type.shape.dim[0].dim_value = 1
    return fixed


def _inputs(proto: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    weights = {initializer.name for initializer in proto.graph.initializer}
    return [value for value in proto.graph.input if value.name not in weights]


def _size(
    path: Path, fixed: tuple[int | None, ...], imgsz: str | None, given: tuple[int, int] | None
) -> tuple[int, int]:
    """Height and width."""
    height, width = fixed
    if given is not None:
        if (height or given[0], width or given[1]) != given:
            raise ModelError(
                f"{path}: its input is {width or 'any'}x{height or 'any'}, not {given[1]}x{given[0]}; omit the input "
                "size, or export the model again"
            )
        return given
    if height and width:
        return height, width
    try:
        told_height, told_width = (int(part) for part in (imgsz or "").strip("[]()").split(","))
    except ValueError:
        raise ModelError(
            f"{path}: the input size is left open; give it (--input-size WIDTHxHEIGHT, or input.size in "
            "the configuration), or export the model with a fixed one"
        ) from None
    return told_height, told_width


def _refuse_plugins(path: Path, proto: onnx.ModelProto) -> None:
    """Raises ModelError for operators that come with a library of their own."""
    known = _DOMAINS | {function.domain for function in proto.functions}
    for node in proto.graph.node:
        if node.domain not in known or node.op_type.endswith("_TRT"):
            raise ModelError(
                f"{path}: has the operator {node.op_type} of a plugin, which no backend here can run; export the model "
                "without NMS, as raw outputs, or with ONNX's own NonMaxSuppression for the backend onnxruntime"
            )


def _upgraded(path: Path, proto: onnx.ModelProto) -> onnx.ModelProto:
    opset = opset_of(proto)
    if opset >= _OLDEST_OPSET:
        return proto
    try:
        return onnx.version_converter.convert_version(proto, _UPGRADED_OPSET)
    except Exception as error:  # the converter raises whatever its C++ code does
        raise ModelError(
            f"{path}: opset {opset} is too old and cannot be converted; export it with opset 17"
        ) from error


def _sort(graph: onnx.GraphProto) -> None:
    """Sorts nodes topologically; keeps their order where it does not matter."""
    waiting: dict[str, list[int]] = {}
    missing = []
    made = {name for node in graph.node for name in node.output if name}
    for index, node in enumerate(graph.node):
        needs = node_inputs(node) & made
        missing.append(len(needs))
        for name in needs:
            waiting.setdefault(name, []).append(index)
    ready = [index for index, count in enumerate(missing) if count == 0]
    order = []
    while ready:
        index = heapq.heappop(ready)
        order.append(index)
        for follower in (f for name in graph.node[index].output for f in waiting.get(name, ())):
            missing[follower] -= 1
            if missing[follower] == 0:
                heapq.heappush(ready, follower)
    if len(order) == len(graph.node):  # else there is a cycle, which the backend will report
        nodes = [graph.node[index] for index in order]
        del graph.node[:]
        graph.node.extend(nodes)

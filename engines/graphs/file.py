"""An ONNX file as the rest of the package needs it: complete, sorted, new enough, fed with pictures only."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import TensorProto, external_data_helper, helper

from engines.errors import ModelError
from engines.graphs.builder import GraphBuilder

_OLDEST_OPSET = 11  # the heads use Clip, Pad and TopK as they are since then
_UPGRADED_OPSET = 17
_PICTURE_TYPES = frozenset({TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.UINT8})
_SIZES = "orig_target_sizes"


@dataclass(frozen=True, slots=True)
class PictureInput:
    """The input of a model that takes pictures."""

    value: onnx.ValueInfoProto
    planar: bool
    """[B, 3, height, width] and not [B, height, width, 3]"""
    width: int
    """pixels"""
    height: int
    """pixels"""

    @property
    def name(self) -> str:
        """In the graph."""
        return self.value.name

    @property
    def dtype(self) -> int:
        """An onnx.TensorProto.DataType: FLOAT, FLOAT16 or UINT8."""
        return self.value.type.tensor_type.elem_type


def load(path: Path) -> onnx.ModelProto:
    """The model in the file, weights beside it included, nodes in an order in which they can run.

    Raises ModelError.
    """
    if not path.is_file():
        raise ModelError(f"{path}: there is no such model file")
    damaged = f"{path}: is not an ONNX model, or is damaged; export it again"
    try:
        proto = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's and onnx's own errors share no base class
        raise ModelError(damaged) from error
    if not proto.graph.node or not proto.opset_import:  # protobuf takes many a foreign file for an empty message
        raise ModelError(damaged)
    try:
        external_data_helper.load_external_data_for_model(proto, str(path.parent))
    except Exception as error:  # as above
        raise ModelError(f"{path}: the file with its weights is missing or damaged: {error}; put it beside") from error
    _sort(proto.graph)
    return _upgraded(path, proto)


def opset_of(proto: onnx.ModelProto) -> int:
    """Of the default operator domain."""
    return next((o.version for o in proto.opset_import if o.domain in {"", "ai.onnx"}), 0)


def shape_of(value: onnx.ValueInfoProto) -> tuple[int | None, ...]:
    """None where a dimension is not fixed."""
    dims = value.type.tensor_type.shape.dim
    return tuple(dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None for dim in dims)


def picture_input(path: Path, proto: onnx.ModelProto, imgsz: str | None) -> PictureInput:
    """The input that takes pictures; its height and width are fixed in `proto`.

    `imgsz` is the size that the metadata tells, '[height, width]'. Raises ModelError.
    """
    inputs = _inputs(proto)
    pictures = [value for value in inputs if len(shape_of(value)) == 4]
    if len(pictures) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise ModelError(f"{path}: a detector with one picture input is needed, this model has: {names}")
    value = pictures[0]
    shape, kind = shape_of(value), value.type.tensor_type.elem_type
    planar = shape[1] == 3 or (shape[1] is None and shape[3] != 3)
    if not planar and shape[3] != 3:
        raise ModelError(
            f"{path}: the input {value.name} is not a picture [batch, 3, height, width] or [batch, height, width, 3]"
        )
    if kind not in _PICTURE_TYPES:
        name = TensorProto.DataType.Name(kind).lower()
        raise ModelError(f"{path}: the input {value.name} is of type {name}; export it with float, float16 or uint8")
    height, width = _size(path, shape[2:] if planar else shape[1:3], imgsz)
    fixed = (3, height, width) if planar else (height, width, 3)
    for dim, size in zip(value.type.tensor_type.shape.dim[1:], fixed, strict=True):
        dim.dim_value = size
    return PictureInput(value, planar, width, height)


def feed_sizes(path: Path, proto: onnx.ModelProto, picture: PictureInput) -> bool:
    """Makes constants of the inputs that tell the size of the picture, the model's own; whether there are any.

    Raises ModelError for inputs that are none of these.
    """
    others = [value for value in _inputs(proto) if value.name != picture.name]
    for value in others:
        row = {"im_shape": (picture.height, picture.width), "scale_factor": (1, 1)}.get(value.name)
        integer = value.type.tensor_type.elem_type in {TensorProto.INT32, TensorProto.INT64}
        if row is None and (integer or value.name == _SIZES) and shape_of(value)[1:] == (2,):
            row = (picture.width, picture.height)
        if row is None:
            raise ModelError(
                f"{path}: besides pictures it takes {value.name}, which ospreyd knows nothing of; export it without"
            )
        _feed(proto, picture, value, row)
    return bool(others)


def _feed(proto: onnx.ModelProto, picture: PictureInput, value: onnx.ValueInfoProto, row: tuple[int, int]) -> None:
    """Writes `row` for every picture of a batch in place of an input."""
    graph = onnx.GraphProto()
    builder = GraphBuilder(graph, opset_of(proto), f"{value.name}/row")
    rows = builder.const([row], helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))
    batch = builder.slice(builder.add("Shape", picture.name), 0, 1, 0)
    builder.add("Expand", rows, builder.add("Concat", batch, builder.const([2]), axis=0), output=value.name)
    nodes = [*graph.node, *proto.graph.node]
    proto.graph.initializer.extend(graph.initializer)
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    proto.graph.input.remove(value)


def _inputs(proto: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    weights = {initializer.name for initializer in proto.graph.initializer}
    return [value for value in proto.graph.input if value.name not in weights]


def _size(path: Path, fixed: tuple[int | None, ...], imgsz: str | None) -> tuple[int, int]:
    """Height and width."""
    height, width = fixed
    if height and width:
        return height, width
    try:
        told_height, told_width = (int(part) for part in (imgsz or "").strip("[]()").split(","))
    except ValueError:
        raise ModelError(f"{path}: the input size is left open; export the model with a fixed one") from None
    return told_height, told_width


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
    """Puts nodes after those that they read from; the order is kept where it does not matter."""
    waiting: dict[str, list[int]] = {}
    missing = []
    made = {name for node in graph.node for name in node.output if name}
    for index, node in enumerate(graph.node):
        needs = _read_by(node) & made
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
    if len(order) == len(graph.node):  # else they wait for each other, which whoever runs the model will say
        nodes = [graph.node[index] for index in order]
        del graph.node[:]
        graph.node.extend(nodes)


def _read_by(node: onnx.NodeProto) -> set[str]:
    """Names that the node or a graph inside it reads."""
    inner = (attribute.g for attribute in node.attribute if attribute.HasField("g"))
    return set(node.input).union(*(_read_by(part) for graph in inner for part in graph.node))

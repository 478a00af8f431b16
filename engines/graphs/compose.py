"""Composes a canonical detector from an exported model: any batch size, canonical outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
from onnx import TensorProto, helper, numpy_helper

from engines.graphs.builder import GraphBuilder
from engines.graphs.heads.base import canonical_outputs
from engines.graphs.preprocess import FRAMES, IMAGES, normalise

if TYPE_CHECKING:
    from engines.model import Model

_MODEL = "model/"  # prefix of all names from the file, so that they cannot clash with ours
_BATCH = "batch"


def canonical_detector(model: Model, body: onnx.ModelProto) -> onnx.ModelProto:
    """`body` (the model as in its file, or with dynamic batch) with its head appended.

    The input `images` has the model's layout and type, as the preprocess graph writes it; the outputs are
    heads.base.CANONICAL. Names from the file get the prefix `model/`, those of the head `head/`.
    """
    body = _prefixed(body)
    own_input = next(value for value in body.graph.input if value.name == _MODEL + model.input_name)
    images = onnx.ValueInfoProto()
    images.CopyFrom(own_input)
    images.name = IMAGES
    batch = fixed_batch(body, own_input.name) or _BATCH
    if batch == _BATCH:
        images.type.tensor_type.shape.dim[0].dim_param = _BATCH
    head = onnx.GraphProto()
    head_builder = GraphBuilder(head, model.opset, "head")
    outputs = tuple(_as_float(head_builder, value) for value in body.graph.output)
    candidates = model.match.build(head_builder, outputs, model.head)
    _rename(body.graph, own_input.name, IMAGES)
    graph = helper.make_graph(
        [*body.graph.node, *head.node],
        "detector",
        [images],
        canonical_outputs(batch, candidates),
        [*body.graph.initializer, *head.initializer],
    )
    return _checked(graph, body)


def with_frame_input(model: Model, detector: onnx.ModelProto) -> onnx.ModelProto:
    """A canonical detector with `normalise` prepended: input `frames` uint8 [B, height, width, 3], letterboxed BGR."""
    images = detector.graph.input[0].type.tensor_type
    batch = images.shape.dim[0].dim_value or _BATCH
    front = onnx.GraphProto()
    builder = GraphBuilder(front, model.opset, "normalise")
    normalise(builder, FRAMES, model.geometry, images.elem_type, IMAGES, model.planar)
    graph = helper.make_graph(
        [*front.node, *detector.graph.node],
        "detector",
        [helper.make_tensor_value_info(FRAMES, TensorProto.UINT8, [batch, model.height, model.width, 3])],
        detector.graph.output,
        [*front.initializer, *detector.graph.initializer],
    )
    return _checked(graph, detector)


def fixed_batch(proto: onnx.ModelProto, input_name: str) -> int | None:
    """The fixed batch size of the model's input, None if it is dynamic."""
    value = next(value for value in proto.graph.input if value.name == input_name)
    return value.type.tensor_type.shape.dim[0].dim_value or None


def with_batch(proto: onnx.ModelProto, input_name: str, batch: int) -> onnx.ModelProto:
    """The model with a fixed batch dimension in its input."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(proto)
    value = next(value for value in fixed.graph.input if value.name == input_name)
    value.type.tensor_type.shape.dim[0].dim_value = batch
    return fixed


def dynamic_batch(proto: onnx.ModelProto, input_name: str) -> onnx.ModelProto:
    """The model with a dynamic batch dimension.

    An export for one batch size has that size in its input, its outputs and the constant shapes of its Reshape nodes,
    or only in the latter. A zero in such a shape copies the dimension of the data. The caller must check that the
    result still computes the same: a model may mix the images of a batch in other ways.
    """
    size = fixed_batch(proto, input_name) or 1
    dynamic = onnx.ModelProto()
    dynamic.CopyFrom(proto)
    graph = dynamic.graph
    del graph.value_info[:]  # they hold the old shapes
    for value in (*graph.input, *graph.output):
        dims = value.type.tensor_type.shape.dim
        if value.name == input_name or (dims and dims[0].dim_value == size):
            dims[0].dim_param = _BATCH
    constants = _constants(graph)
    batched = {input_name}
    for node in graph.node:
        if node.op_type in {"Shape", "Size"} or not batched.intersection(node.input):
            continue
        batched.update(node.output)
        if node.op_type == "Reshape" and node.input[0] in batched and node.input[1] in constants:
            shape = numpy_helper.to_array(constants[node.input[1]])
            if len(shape) > 1 and shape[0] == size:
                opened = shape.copy()
                opened[0] = 0
                # a new constant: other nodes, whose data has no batch, may use the old one
                name = f"{node.output[0]}/shape_of_any_batch"
                graph.initializer.append(numpy_helper.from_array(opened, name))
                node.input[1] = name
    return dynamic


def _constants(graph: onnx.GraphProto) -> dict[str, TensorProto]:
    constants = {initializer.name: initializer for initializer in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            constants[node.output[0]] = node.attribute[0].t
    return constants


def _prefixed(proto: onnx.ModelProto) -> onnx.ModelProto:
    """A copy with the prefix before all names; onnx.compose.add_prefix forgets those in the bodies of a Loop."""
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    _prefix(copy.graph)
    return copy


def _prefix(graph: onnx.GraphProto) -> None:
    named = [*graph.input, *graph.output, *graph.value_info, *graph.initializer]
    named += [sparse.values for sparse in graph.sparse_initializer]
    for value in named:
        value.name = _MODEL + value.name
    for node in graph.node:
        node.name = node.name and _MODEL + node.name
        node.input[:] = [name and _MODEL + name for name in node.input]
        node.output[:] = [name and _MODEL + name for name in node.output]
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _prefix(attribute.g)


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Renames an input in all nodes that read it; TensorRT has no Identity for uint8 that could do it."""
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name == old:
                node.input[place] = new
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _rename(attribute.g, old, new)


def _checked(graph: onnx.GraphProto, like: onnx.ModelProto) -> onnx.ModelProto:
    composed = helper.make_model(
        graph, opset_imports=like.opset_import, ir_version=like.ir_version, functions=like.functions
    )
    onnx.checker.check_model(composed)
    return composed


def _as_float(graph: GraphBuilder, value: onnx.ValueInfoProto) -> str:
    if value.type.tensor_type.elem_type == TensorProto.FLOAT:
        return value.name
    return graph.cast(value.name, TensorProto.FLOAT)

"""Converts a graph to float16 except for chosen nodes, with a Cast wherever the type changes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper
from onnx.defs import OpSchema

from engines.graphs.onnx_file import subgraph_inputs
from engines.precision.graph_index import FLOATS, GraphIndex

_LARGEST = float(np.finfo(np.float16).max)
_SMALLEST = float(np.finfo(np.float16).smallest_subnormal)
_FLOAT16_INPUTS = {"Resize": 1}
"""number of inputs, by operator, that every TensorRT takes as float16, whatever ONNX allows"""


def in_float16(graph: GraphIndex, float32: frozenset[int]) -> onnx.ModelProto:
    """The model in float16, its input included; the nodes `float32` and all outputs stay in float32.

    onnxruntime's converter rounds the output of an exempted node to float16 even between two such nodes.
    """
    return _Retyping(graph, float32, TensorProto.FLOAT16).run()


def in_float32(graph: GraphIndex) -> onnx.ModelProto:
    """The model in float32, its input included."""
    return _Retyping(graph, frozenset(range(len(graph.nodes))), TensorProto.FLOAT).run()


class _Retyping:
    """Rewrites each node with its new types, in one pass."""

    def __init__(self, graph: GraphIndex, float32: frozenset[int], input_type: int) -> None:
        self._graph = graph
        self._float32 = float32
        self._inputs = [_of_type(value, input_type) for value in graph.model.graph.input]
        self._types = {value.name: value.type.tensor_type.elem_type for value in self._inputs}
        self._nodes: list[NodeProto] = []
        self._constants: dict[str, TensorProto] = {}
        self._casts: set[str] = set()

    def run(self) -> onnx.ModelProto:
        """The converted model."""
        for index, node in enumerate(self._graph.nodes):
            half = index not in self._float32 and _can_be_float16(node, self._graph)
            self._nodes.append(self._retyped(node, TensorProto.FLOAT16 if half else TensorProto.FLOAT))
        model = self._graph.model
        rewritten = helper.make_graph(
            self._nodes, model.graph.name, self._inputs, model.graph.output, list(self._constants.values())
        )
        return helper.make_model(rewritten, opset_imports=model.opset_import, ir_version=model.ir_version)

    def _retyped(self, node: NodeProto, kind: int) -> NodeProto:
        new = NodeProto()
        new.CopyFrom(node)
        for i, name in enumerate(node.input):
            if self._graph.is_float(name) and node.op_type != "Cast":
                new.input[i] = self._as(name, TensorProto.FLOAT if _is_float32_only(node, i, self._graph) else kind)
            else:
                self._use(name)
        for name in subgraph_inputs(node):
            self._use(name)
        for attribute in new.attribute:
            if attribute.name in {"to", "dtype"} and attribute.i in FLOATS:
                attribute.i = kind
            elif attribute.HasField("t") and attribute.t.data_type in FLOATS:
                attribute.t.CopyFrom(_converted(attribute.t, kind, attribute.t.name))
        self._types.update((name, kind) for name in node.output if self._graph.is_float(name))
        return new

    def _use(self, name: str) -> None:
        """Keeps a constant unchanged."""
        if name in self._graph.constants:
            self._constants[name] = self._graph.constants[name]

    def _as(self, name: str, kind: int) -> str:
        """The name of the tensor in the type `kind`; adds a Cast or a converted constant if needed."""
        constant = self._graph.constants.get(name)
        if (self._types[name] if constant is None else constant.data_type) == kind:
            self._use(name)
            return name
        other = f"{name}/{'float32' if kind == TensorProto.FLOAT else 'float16'}"
        if constant is not None:
            self._constants.setdefault(other, _converted(constant, kind, other))
        elif other not in self._casts:
            self._casts.add(other)
            self._nodes.append(helper.make_node("Cast", [name], [other], name=other, to=kind))
        return other


def _of_type(value: onnx.ValueInfoProto, kind: int) -> onnx.ValueInfoProto:
    new = onnx.ValueInfoProto()
    new.CopyFrom(value)
    if new.type.tensor_type.elem_type in FLOATS:
        new.type.tensor_type.elem_type = kind
    return new


def _converted(tensor: TensorProto, kind: int, name: str) -> TensorProto:
    values = numpy_helper.to_array(tensor)
    if kind == TensorProto.FLOAT16:
        # neither a limit of 1e9 may become infinite nor an epsilon of 1e-12 zero
        values = np.where(np.isfinite(values), np.clip(values, -_LARGEST, _LARGEST), values)
        values = np.where(values == 0, values, np.copysign(np.maximum(np.abs(values), _SMALLEST), values))
    return numpy_helper.from_array(values.astype(helper.tensor_dtype_to_np_dtype(kind)), name)


def _can_be_float16(node: NodeProto, graph: GraphIndex) -> bool:
    """Whether ONNX defines the operator for float16; single inputs may still have to be float32."""
    if node.domain not in {"", "ai.onnx"}:
        return False
    schema = onnx.defs.get_schema(node.op_type, graph.opset, "")
    allowed = {constraint.type_param_str: constraint.allowed_type_strs for constraint in schema.type_constraints}
    used = {_formal(schema.inputs, i) for i, name in enumerate(node.input) if graph.is_float(name)}
    given = {_formal(schema.outputs, i) for i, name in enumerate(node.output) if graph.is_float(name)}
    return all("tensor(float16)" in allowed.get(kind, ()) for kind in given | (used & allowed.keys()))


def _is_float32_only(node: NodeProto, index: int, graph: GraphIndex) -> bool:
    if node.domain not in {"", "ai.onnx"} or index >= _FLOAT16_INPUTS.get(node.op_type, len(node.input)):
        return True
    schema = onnx.defs.get_schema(node.op_type, graph.opset, "")
    return _formal(schema.inputs, index) == "tensor(float)"


def _formal(parameters: Sequence[OpSchema.FormalParameter], index: int) -> str:
    """The type, or type variable, of a parameter; the last parameter may be variadic."""
    return parameters[min(index, len(parameters) - 1)].type_str

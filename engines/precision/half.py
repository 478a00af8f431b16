"""A graph in float16 but for chosen nodes; every tensor has one type, and a Cast stands where two types meet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper
from onnx.defs import OpSchema

from engines.precision.wiring import FLOATS, Wiring, captures

_LARGEST = float(np.finfo(np.float16).max)
_SMALLEST = float(np.finfo(np.float16).smallest_subnormal)
_FLOAT16_INPUTS = {"Resize": 1}
"""by operator how many of its inputs may be float16 with every TensorRT, whatever ONNX says"""


def in_float16(wiring: Wiring, float32: frozenset[int]) -> onnx.ModelProto:
    """The model in float16, its input too; the nodes `float32` and all outputs in float32.

    onnxruntime's own converter rounds what an exempted node gives to float16, also on its way to another such node.
    """
    return _Retyping(wiring, float32, TensorProto.FLOAT16).run()


def in_float32(wiring: Wiring) -> onnx.ModelProto:
    """The model in float32, its input too."""
    return _Retyping(wiring, frozenset(range(len(wiring.nodes))), TensorProto.FLOAT).run()


class _Retyping:
    """Goes through the nodes once and writes each again with the types that it is to have."""

    def __init__(self, wiring: Wiring, float32: frozenset[int], input_type: int) -> None:
        self._wiring = wiring
        self._float32 = float32
        self._inputs = [_of_type(value, input_type) for value in wiring.model.graph.input]
        self._types = {value.name: value.type.tensor_type.elem_type for value in self._inputs}
        self._nodes: list[NodeProto] = []
        self._constants: dict[str, TensorProto] = {}
        self._casts: set[str] = set()

    def run(self) -> onnx.ModelProto:
        """The model in its new types."""
        for index, node in enumerate(self._wiring.nodes):
            half = index not in self._float32 and _can_be_float16(node, self._wiring)
            self._nodes.append(self._retyped(node, TensorProto.FLOAT16 if half else TensorProto.FLOAT))
        model = self._wiring.model
        graph = helper.make_graph(
            self._nodes, model.graph.name, self._inputs, model.graph.output, list(self._constants.values())
        )
        return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)

    def _retyped(self, node: NodeProto, kind: int) -> NodeProto:
        new = NodeProto()
        new.CopyFrom(node)
        for i, name in enumerate(node.input):
            if self._wiring.is_float(name) and node.op_type != "Cast":
                new.input[i] = self._as(name, TensorProto.FLOAT if _is_float32_only(node, i, self._wiring) else kind)
            else:
                self._use(name)
        for name in captures(node):
            self._use(name)
        for attribute in new.attribute:
            if attribute.name in {"to", "dtype"} and attribute.i in FLOATS:
                attribute.i = kind
            elif attribute.HasField("t") and attribute.t.data_type in FLOATS:
                attribute.t.CopyFrom(_converted(attribute.t, kind, attribute.t.name))
        self._types.update((name, kind) for name in node.output if self._wiring.is_float(name))
        return new

    def _use(self, name: str) -> None:
        """Keeps a constant as it is."""
        if name in self._wiring.constants:
            self._constants[name] = self._wiring.constants[name]

    def _as(self, name: str, kind: int) -> str:
        """The tensor in the type `kind`, under whatever name."""
        constant = self._wiring.constants.get(name)
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


def _can_be_float16(node: NodeProto, wiring: Wiring) -> bool:
    """Whether ONNX has this operator for float16; single inputs may still be float32 always."""
    if node.domain not in {"", "ai.onnx"}:
        return False
    schema = onnx.defs.get_schema(node.op_type, wiring.opset, "")
    allowed = {constraint.type_param_str: constraint.allowed_type_strs for constraint in schema.type_constraints}
    used = {_formal(schema.inputs, i) for i, name in enumerate(node.input) if wiring.is_float(name)}
    given = {_formal(schema.outputs, i) for i, name in enumerate(node.output) if wiring.is_float(name)}
    return all("tensor(float16)" in allowed.get(kind, ()) for kind in given | (used & allowed.keys()))


def _is_float32_only(node: NodeProto, index: int, wiring: Wiring) -> bool:
    if node.domain not in {"", "ai.onnx"} or index >= _FLOAT16_INPUTS.get(node.op_type, len(node.input)):
        return True
    schema = onnx.defs.get_schema(node.op_type, wiring.opset, "")
    return _formal(schema.inputs, index) == "tensor(float)"


def _formal(parameters: Sequence[OpSchema.FormalParameter], index: int) -> str:
    """The type, or the variable for one, of a parameter; the last may stand for any number."""
    return parameters[min(index, len(parameters) - 1)].type_str

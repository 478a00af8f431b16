"""An index of an ONNX graph: its constants, the writer and readers of each tensor, and its layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, inliner, numpy_helper

from engines.errors import PrecisionError
from engines.graphs.onnx_file import node_inputs, opset_of

FLOATS = frozenset({TensorProto.FLOAT, TensorProto.FLOAT16})
"""types that a precision changes; files mix the two"""
_PRODUCTS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_IR_OF_OPSET_19 = 9
_CONSTANT_TYPES = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}
_FEWEST_WEIGHTS = 64
"""a product with fewer is arithmetic, such as the mean of a distribution over 8 to 33 distances"""


@dataclass(frozen=True, slots=True, eq=False)
class GraphIndex:
    """A model's graph. A node is identified by its position in `nodes`, which are in topological order."""

    model: onnx.ModelProto
    nodes: tuple[NodeProto, ...]
    constants: dict[str, TensorProto]
    types: dict[str, int]
    """an onnx.TensorProto.DataType for every tensor"""
    writer: dict[str, int]
    readers: dict[str, list[int]]
    layers: frozenset[int]
    """convolutions and matrix products with at least _FEWEST_WEIGHTS weights"""

    @classmethod
    def of(cls, detector: onnx.ModelProto, least_opset: int = 0) -> GraphIndex:
        """The index of a copy of `detector`, converted to at least `least_opset`. Raises PrecisionError."""
        model = _complete(detector, least_opset)
        nodes = tuple(model.graph.node)
        writer = {name: index for index, node in enumerate(nodes) for name in node.output if name}
        readers: dict[str, list[int]] = {}
        for index, node in enumerate(nodes):
            for name in node_inputs(node):
                readers.setdefault(name, []).append(index)
        constants = {constant.name: constant for constant in model.graph.initializer}
        layers = frozenset(index for index, node in enumerate(nodes) if _is_layer(node, constants))
        return cls(model, nodes, constants, _types(model), writer, readers, layers)

    @property
    def opset(self) -> int:
        """Of the default operator domain."""
        return opset_of(self.model)

    def is_float(self, name: str) -> bool:
        """Whether this tensor is float32 or float16."""
        return self.types.get(name) in FLOATS

    def writers(self, names: Iterable[str]) -> frozenset[int]:
        """The nodes that compute those of these tensors that are floats."""
        return frozenset(self.writer[name] for name in names if name in self.writer and self.is_float(name))

    def upstream(self, nodes: Iterable[int]) -> frozenset[int]:
        """`nodes` and their ancestors up to and including the nearest layers."""
        return self._reached(nodes, lambda index: self.writers(node_inputs(self.nodes[index])))

    def downstream(self, nodes: Iterable[int]) -> frozenset[int]:
        """`nodes` and their descendants down to and including the nearest layers."""
        return self._reached(nodes, self._followers)

    def _followers(self, index: int) -> frozenset[int]:
        floats = (name for name in self.nodes[index].output if self.is_float(name))
        return frozenset(reader for name in floats for reader in self.readers.get(name, ()))

    def _reached(self, nodes: Iterable[int], neighbours: Callable[[int], frozenset[int]]) -> frozenset[int]:
        reached = set(nodes)
        waiting = list(reached - self.layers)
        while waiting:
            found = neighbours(waiting.pop()) - reached
            reached |= found
            waiting.extend(found - self.layers)
        return frozenset(reached)


def _complete(detector: onnx.ModelProto, least_opset: int) -> onnx.ModelProto:
    """A copy with functions inlined, constants as initializers, and at least `least_opset`."""
    model = inliner.inline_local_functions(detector) if detector.functions else detector
    if opset_of(model) < least_opset:
        try:
            model = onnx.version_converter.convert_version(model, least_opset)
        except Exception as error:  # the converter raises whatever its C++ code does
            raise PrecisionError(
                f"8-bit precisions need opset {least_opset}, to which this model cannot be converted ({error}); "
                f"export it with opset {least_opset}"
            ) from error
        model.ir_version = max(model.ir_version, _IR_OF_OPSET_19)
    elif model is detector:
        model = onnx.ModelProto()
        model.CopyFrom(detector)
    _gather_constants(model.graph)
    return model


def _gather_constants(graph: onnx.GraphProto) -> None:
    """Turns Constant nodes, and Identity nodes behind constants, into initializers."""
    known = {constant.name: constant for constant in graph.initializer}
    nodes = []
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            constant = node.attribute[0].t
        elif node.op_type == "Constant" and node.attribute[0].name in _CONSTANT_TYPES:
            value = helper.get_attribute_value(node.attribute[0])
            constant = numpy_helper.from_array(np.asarray(value, _CONSTANT_TYPES[node.attribute[0].name]))
        elif node.op_type == "Identity" and node.input[0] in known:
            constant = known[node.input[0]]
        else:
            nodes.append(node)
            continue
        kept = graph.initializer.add()
        kept.CopyFrom(constant)
        kept.name = node.output[0]
        known[kept.name] = kept
    del graph.node[:]
    graph.node.extend(nodes)


def _types(model: onnx.ModelProto) -> dict[str, int]:
    graph = onnx.shape_inference.infer_shapes(model).graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.input, *graph.output)}
    types |= {constant.name: constant.data_type for constant in graph.initializer}
    for node in graph.node:
        if any(name and name not in types for name in node.output):
            raise PrecisionError(
                f"the output of the model's operator {node.op_type} (node {node.name}) has an unknown type; export the "
                "model with ONNX's own operators, or set the precision to fp32"
            )
    return types


def _is_layer(node: NodeProto, constants: dict[str, TensorProto]) -> bool:
    if node.op_type not in _PRODUCTS:
        return False
    weights = [math.prod(constants[name].dims) for name in node.input[:2] if name in constants]
    return not weights or weights[0] >= _FEWEST_WEIGHTS

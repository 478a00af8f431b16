"""Adds nodes to an ONNX graph, one call per node, with generated names."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import ArrayLike, DTypeLike
from onnx import helper, numpy_helper


class GraphBuilder:
    """Appends to `graph`; every generated name begins with `prefix`, which the graph must not use yet."""

    def __init__(self, graph: onnx.GraphProto, opset: int, prefix: str) -> None:
        self._graph = graph
        self._opset = opset
        self._prefix = prefix
        self._made = 0

    def const(self, value: ArrayLike, dtype: DTypeLike = np.int64) -> str:
        """A constant tensor."""
        name = self._name("const")
        self._graph.initializer.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def add(self, op: str, *inputs: str, output: str | None = None, **attributes: int | str | list[int]) -> str:
        """Adds a node with one output; returns the output's name."""
        return self.add_many(op, *inputs, outputs=(output or self._name(op),), **attributes)[0]

    def add_many(
        self, op: str, *inputs: str, outputs: tuple[str, ...] | int, **attributes: int | str | list[int]
    ) -> tuple[str, ...]:
        """Adds a node with several outputs, given by name or number; returns their names."""
        names = tuple(self._name(op) for _ in range(outputs)) if isinstance(outputs, int) else outputs
        node = helper.make_node(op, inputs, names, name=self._name("node"))
        node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
        self._graph.node.append(node)
        return names

    def slice(self, data: str, start: int, end: int, axis: int) -> str:
        """data[start:end] along `axis`."""
        return self.add("Slice", data, self.const([start]), self.const([end]), self.const([axis]))

    def at(self, data: str, index: int, axis: int) -> str:
        """data[index] along `axis`, which is removed."""
        return self.add("Gather", data, self.const(index), axis=axis)

    def reshape(self, data: str, *shape: int) -> str:
        """`data` in another shape; 0 keeps a dimension, -1 infers one."""
        return self.add("Reshape", data, self.const(shape))

    def reduce_max(self, data: str, axis: int) -> str:
        """The maximum along `axis`, which is removed."""
        if self._opset >= 18:
            return self.add("ReduceMax", data, self.const([axis]), keepdims=0)
        return self.add("ReduceMax", data, axes=[axis], keepdims=0)

    def unsqueeze(self, data: str, axis: int) -> str:
        """`data` with a dimension of size 1 inserted at `axis`."""
        if self._opset >= 13:
            return self.add("Unsqueeze", data, self.const([axis]))
        return self.add("Unsqueeze", data, axes=[axis])

    def cast(self, data: str, to: int, output: str | None = None) -> str:
        """`data` in another element type."""
        return self.add("Cast", data, output=output, to=to)

    def as_float(self, data: str) -> str:
        """`data` as float32."""
        return self.cast(data, onnx.TensorProto.FLOAT)

    def _name(self, what: str) -> str:
        self._made += 1
        return f"{self._prefix}/{what}_{self._made}"

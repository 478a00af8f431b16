"""Small ONNX models whose outputs are known numbers, laid out as the exporters of the families lay them out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Shape = Sequence[int | str]
TWO_NAMES = {"names": "{0: 'cat', 1: 'dog'}"}

_ASIDE = {
    "GridSample": ("images", "aside/grid"),
    "HardSigmoid": ("images",),
    "LeakyRelu": ("images",),
    "TopK": ("images", "aside/one"),
    "Conv": ("images", "aside/kernel"),
    "NonMaxSuppression": ("aside/boxes", "aside/scores", "aside/one"),
}
"""operators that a model may have beside the way to its outputs, and what they read"""


_SELECTING = ("ArgMax", "TopK")


@dataclass(frozen=True)
class Making:
    """A model: input `images`, and outputs that are constants behind an operator."""

    outputs: Mapping[str, NDArray[Any]]
    through: Mapping[str, str] = field(default_factory=dict)
    """operator of an output: Identity, Exp, Sigmoid, Softmax, Mul by one, or ArgMax and TopK, whose results change
    nothing"""
    declared: Mapping[str, Shape | None] = field(default_factory=dict)
    """shapes that the file tells where they are not those of the arrays"""
    size: Shape = (1, 3, 64, 64)
    dtype: int = TensorProto.FLOAT
    aside: Sequence[str] = ()
    opset: int = 17
    metadata: Mapping[str, str] = field(default_factory=lambda: TWO_NAMES)
    constant_nodes: bool = False
    """constants are nodes and not initializers"""

    def save(self, path: Path) -> Path:
        """Writes the file."""
        onnx.save(self.proto(), path)
        return path

    def proto(self) -> onnx.ModelProto:
        """The model."""
        nodes, weights = [], []
        for name, values in self.outputs.items():
            weights.append(numpy_helper.from_array(values, f"{name}/values"))
            operator = self.through.get(name, "Identity")
            inputs = [f"{name}/values"]
            if operator in _SELECTING:
                nodes += _selecting(name, operator)
                operator, inputs = "Add", [f"{name}/values", f"{name}/nothing"]
                weights.append(numpy_helper.from_array(np.zeros(1, values.dtype), f"{name}/zero"))
                weights.append(numpy_helper.from_array(np.ones(1, np.int64), f"{name}/k"))
            if operator == "Mul":
                weights.append(numpy_helper.from_array(np.ones(1, values.dtype), f"{name}/one"))
                inputs.append(f"{name}/one")
            nodes.append(helper.make_node(operator, inputs, [name]))
        nodes += [helper.make_node(op, _ASIDE[op], [f"aside/{op}"] + ["aside/i"] * (op == "TopK")) for op in self.aside]
        if self.aside:
            arrays = {
                "grid": np.zeros((1, 2, 2, 2), np.float32),
                "one": np.array([1]),
                "kernel": np.ones((1, 3, 1, 1), np.float32),
                "boxes": np.zeros((1, 4, 4), np.float32),
                "scores": np.zeros((1, 1, 4), np.float32),
            }
            weights += [numpy_helper.from_array(array, f"aside/{name}") for name, array in arrays.items()]
        if self.constant_nodes:
            nodes = [helper.make_node("Constant", [], [w.name], value=w) for w in weights] + nodes
            weights = []
        graph = helper.make_graph(
            nodes,
            "made",
            [helper.make_tensor_value_info("images", self.dtype, self.size)],
            [self._output(name, values) for name, values in self.outputs.items()],
            weights,
        )
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)
        helper.set_model_props(proto, dict(self.metadata))
        return proto

    def _output(self, name: str, values: NDArray[Any]) -> onnx.ValueInfoProto:
        shape = self.declared.get(name, values.shape)
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(values.dtype), shape)


def _selecting(name: str, operator: str) -> list[onnx.NodeProto]:
    """The best of the last dimension, times zero: `NAME/nothing`."""
    best = f"{name}/best"
    found = (
        [helper.make_node("ArgMax", [f"{name}/values"], [f"{name}/index"], axis=-1)]
        if operator == "ArgMax"
        else [helper.make_node("TopK", [f"{name}/values", f"{name}/k"], [f"{name}/top", f"{name}/index"])]
    )
    source = f"{name}/index" if operator == "ArgMax" else f"{name}/top"
    return [
        *found,
        helper.make_node("Cast", [source], [best], to=TensorProto.FLOAT),
        helper.make_node("Mul", [best, f"{name}/zero"], [f"{name}/nothing"]),
    ]

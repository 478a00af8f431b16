"""What every family provides, and the last step that all heads share: the K best candidates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto

from engines.graphs.builder import GraphBuilder
from engines.graphs.preprocess import InputGeometry

CANONICAL = ("boxes", "scores", "labels")
"""outputs of every canonical detector: boxes float32 [B, K, 4] xyxy in model-input pixels, scores float32 [B, K],
labels int32 [B, K]; K best first"""


@dataclass(frozen=True, slots=True)
class RawOutputs:
    """What is known of a detector before its head is built."""

    names: tuple[str, ...]
    shapes: tuple[tuple[int | None, ...], ...]
    """None where a dimension is not fixed"""
    operators: frozenset[str]
    """operator types that occur in the model"""
    width: int
    """of the model's input, pixels"""
    height: int
    """of the model's input, pixels"""


@dataclass(frozen=True, slots=True)
class Family:
    """A way of laying out a detector's outputs."""

    name: str
    layout: str
    """one line for people"""
    geometry: InputGeometry
    """unless the user says otherwise"""
    nms: bool
    """whether candidates overlap, so that NMS has to follow"""
    candidates: int
    """how many leave the graph for each picture, at most"""
    classes: Callable[[RawOutputs], int | None]
    """how many classes the outputs have if they are of this family, else None"""
    build: Callable[[GraphBuilder, RawOutputs, int, int], int]
    """appends the head for so many classes and at most so many candidates; gives K"""


def grid_cells(width: int, height: int, strides: tuple[int, ...] = (8, 16, 32)) -> int:
    """Cells of all levels of an anchor-free detector."""
    return sum((width // stride) * (height // stride) for stride in strides)


def best(graph: GraphBuilder, scores: str, candidates: int) -> str:
    """Writes `scores` [B, K], the K best of scores [B, N], best first; gives their indices [B, K]."""
    _, indices = graph.add_many("TopK", scores, graph.const([candidates]), outputs=(CANONICAL[1], "head/best"))
    return indices


def class_of(graph: GraphBuilder, class_scores: str) -> None:
    """Writes `labels`: the best class of each candidate, from class_scores [B, K, C]."""
    graph.cast(graph.add("ArgMax", class_scores, axis=2, keepdims=0), TensorProto.INT32, output=CANONICAL[2])


def corners(graph: GraphBuilder, centre: str, size: str) -> None:
    """Writes `boxes`: xyxy from centre and size, each [B, K, 2]."""
    half = graph.add("Mul", size, graph.const(0.5, np.float32))
    ends = graph.add("Sub", centre, half), graph.add("Add", centre, half)
    graph.add("Concat", *ends, axis=2, output=CANONICAL[0])


def pick(graph: GraphBuilder, data: str, indices: str, axis: int, width: int) -> str:
    """The entries of data [B, N, width] (axis 1) or [B, width, N] (axis 2) that indices [B, K] name."""
    shape = (1, 1, width) if axis == 1 else (1, width, 1)
    ones = graph.const(np.ones(shape), np.int64)
    wide = graph.add("Mul", graph.unsqueeze(indices, 2 if axis == 1 else 1), ones)
    return graph.add("GatherElements", data, wide, axis=axis)


def canonical_outputs(batch: int | str, candidates: int) -> list[onnx.ValueInfoProto]:
    """The graph's outputs once a head has been appended."""
    make = onnx.helper.make_tensor_value_info
    return [
        make(CANONICAL[0], TensorProto.FLOAT, [batch, candidates, 4]),
        make(CANONICAL[1], TensorProto.FLOAT, [batch, candidates]),
        make(CANONICAL[2], TensorProto.INT32, [batch, candidates]),
    ]

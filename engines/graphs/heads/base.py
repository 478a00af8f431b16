"""What every family provides, and the steps that heads share; the last is always the K best candidates."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import onnx
from onnx import TensorProto

from engines.graphs.builder import GraphBuilder
from engines.graphs.preprocess import InputGeometry

CANONICAL = ("boxes", "scores", "labels")
"""outputs of every canonical detector: boxes float32 [B, K, 4] xyxy in model-input pixels, scores float32 [B, K],
labels int32 [B, K]; K best first; a score below 0 is no candidate, only the place of one"""

Strides: TypeAlias = tuple[int, ...]
THREE_LEVELS: Strides = (8, 16, 32)
FOUR_LEVELS: Strides = (8, 16, 32, 64)

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)
"""of the pictures of ImageNet, grey levels of red, green, blue"""

LAYERS = frozenset(
    {"Conv", "ConvTranspose", "Gemm", "MatMul", "ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul"}
)
"""operators with trained weights"""

_COCO_CLASSES = 80


@dataclass(frozen=True, slots=True)
class RawOutput:
    """One output of a model as exported."""

    name: str
    shape: tuple[int | None, ...]
    """None where a dimension is not fixed"""
    is_integer: bool
    tail: frozenset[str]
    """types of the operators between the last convolutions or matrix products and this output"""

    @property
    def rank(self) -> int:
        """How many dimensions it has."""
        return len(self.shape)

    @property
    def last(self) -> int | None:
        """The last dimension."""
        return self.shape[-1] if self.shape else None


@dataclass(frozen=True, slots=True)
class RawModel:
    """What is known of a model before its head is built."""

    outputs: tuple[RawOutput, ...]
    operators: frozenset[str]
    """operator types that occur anywhere in it"""
    width: int
    """of the model's input, pixels"""
    height: int
    """of the model's input, pixels"""
    planar: bool
    """whether the picture goes in as [B, 3, H, W] and not as [B, H, W, 3]"""
    integer_input: bool
    """whether the picture goes in as uint8"""
    sized: bool
    """whether it also takes the size of the picture"""
    named: int | None
    """how many class names there are for it, None where there are none"""

    def cells(self, strides: Strides = THREE_LEVELS) -> int:
        """Cells of all levels of a grid detector."""
        return sum(math.ceil(self.width / stride) * math.ceil(self.height / stride) for stride in strides)

    def likely(self, classes: int) -> bool:
        """Whether this is the number of classes to expect: that of the names, or COCO's where there are none."""
        return classes == (_COCO_CLASSES if self.named is None else self.named)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a head has to give."""

    candidates: int
    """how many leave the graph for each picture, at most"""
    labels: int
    """how many classes have a name"""
    label_of: tuple[int, ...] | None = None
    """label of each class of the model, -1 where it has none; None: the same numbers"""


@dataclass(frozen=True, slots=True)
class Match:
    """A model understood as one of a family."""

    classes: int | None
    """None where the outputs do not show it"""
    build: Callable[[GraphBuilder, tuple[str, ...], Wanted], int]
    """appends the head to the outputs, given as float32 tensors in the order of the file; gives K"""
    first_category: int | None = None
    """where classes are COCO's category ids, which have gaps: the id of class 0"""
    geometry: InputGeometry | None = None
    """None: the family's"""
    sure: bool = True
    """False where only the number of names speaks for it, and the operators do not"""


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
    match: Callable[[RawModel], Match | None]
    """None where the outputs cannot be of this family"""

    @property
    def candidates(self) -> int:
        """How many leave the graph for each picture, at most."""
        return 1000 if self.nms else 300


def best(graph: GraphBuilder, scores: str, candidates: int) -> str:
    """Writes `scores` [B, K], the K best of scores [B, N], best first; gives their indices [B, K]."""
    _, indices = graph.add_many("TopK", scores, graph.const([candidates]), outputs=(CANONICAL[1], "head/best"))
    return indices


def pick(graph: GraphBuilder, data: str, indices: str, width: int, axis: int = 1, output: str | None = None) -> str:
    """The entries of data [B, N, width] (axis 1) or [B, width, N] (axis 2) that indices [B, K] name."""
    shape = (1, 1, width) if axis == 1 else (1, width, 1)
    ones = graph.const(np.ones(shape), np.int64)
    wide = graph.add("Mul", graph.unsqueeze(indices, 2 if axis == 1 else 1), ones)
    return graph.add("GatherElements", data, wide, axis=axis, output=output)


def listed(graph: GraphBuilder, boxes: str, scores: str, labels: str, count: int | None, wanted: Wanted) -> int:
    """Writes all outputs from a list of objects: boxes [B, N, 4] xyxy in input pixels, scores and labels [B, N].

    `count` is N, None where it varies. Classes without a name are dropped. Gives K.
    """
    scores, labels = _named(graph, scores, labels, wanted)
    candidates = min(wanted.candidates, count or wanted.candidates)
    if count is None:  # TopK needs as many as it gives
        nothing = graph.const(-1.0, np.float32)
        boxes = graph.add("Pad", boxes, graph.const([0, 0, 0, 0, candidates, 0]))
        scores = graph.add("Pad", scores, graph.const([0, 0, 0, candidates]), nothing)
        labels = graph.add("Pad", labels, graph.const([0, 0, 0, candidates]))
    indices = best(graph, scores, candidates)
    pick(graph, boxes, indices, 4, output=CANONICAL[0])
    graph.cast(graph.add("GatherElements", labels, indices, axis=1), TensorProto.INT32, output=CANONICAL[2])
    return candidates


def input_pixels(graph: GraphBuilder, raw: RawModel) -> str:
    """[1, 1, 4]: what boxes of 0 to 1 are multiplied by."""
    return graph.const(np.reshape([raw.width, raw.height] * 2, (1, 1, 4)), np.float32)


def canonical_outputs(batch: int | str, candidates: int) -> list[onnx.ValueInfoProto]:
    """The graph's outputs once a head has been appended."""
    make = onnx.helper.make_tensor_value_info
    return [
        make(CANONICAL[0], TensorProto.FLOAT, [batch, candidates, 4]),
        make(CANONICAL[1], TensorProto.FLOAT, [batch, candidates]),
        make(CANONICAL[2], TensorProto.INT32, [batch, candidates]),
    ]


def _named(graph: GraphBuilder, scores: str, labels: str, wanted: Wanted) -> tuple[str, str]:
    """Scores and labels [B, N], the scores -1 where a class has no name."""
    nothing = graph.const(-1.0, np.float32)
    known = wanted.labels if wanted.label_of is None else len(wanted.label_of)
    within = graph.add("Clip", labels, graph.const(0.0, np.float32), graph.const(known - 1.0, np.float32))
    scores = graph.add("Where", graph.add("Equal", labels, within), scores, nothing)
    if wanted.label_of is None:
        return scores, within
    table = graph.const(wanted.label_of, np.float32)
    mapped = graph.add("Gather", table, graph.cast(within, TensorProto.INT32), axis=0)
    nameless = graph.add("Less", mapped, graph.const(0.0, np.float32))
    return graph.add("Where", nameless, nothing, scores), mapped

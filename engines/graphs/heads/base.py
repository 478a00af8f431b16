"""What every family provides, and the steps that heads share; every head ends with the top K candidates."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import onnx
from onnx import TensorProto

from engines.graphs.builder import GraphBuilder
from engines.graphs.preprocess import InputGeometry

CANONICAL = ("boxes", "scores", "labels")
"""outputs of every canonical detector: boxes float32 [B, K, 4] xyxy in model-input pixels, scores float32 [B, K],
labels int32 [B, K]; candidates in descending order of score; entries with a score below 0 are padding"""

Strides: TypeAlias = tuple[int, ...]
THREE_LEVELS: Strides = (8, 16, 32)
FOUR_LEVELS: Strides = (8, 16, 32, 64)

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)
"""of ImageNet, pixel values of red, green, blue"""

LAYERS = frozenset(
    {"Conv", "ConvTranspose", "Gemm", "MatMul", "ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul"}
)
"""operators with trained weights"""

_COCO_CLASSES = 80
NO_CLASS_SCORE = 2.0
"""score of an object whose class is not a whole number, so that its model is refused: no score is above 1"""


@dataclass(frozen=True, slots=True)
class RawOutput:
    """One output of an exported model."""

    name: str
    shape: tuple[int | None, ...]
    """None where a dimension is not fixed"""
    is_integer: bool
    tail: frozenset[str]
    """types of the operators between the last layers with weights and this output"""

    @property
    def rank(self) -> int:
        """The number of dimensions."""
        return len(self.shape)

    @property
    def selects(self) -> bool:
        """Whether it holds the best classes or objects alone."""
        return not self.tail.isdisjoint({"ArgMax", "TopK"})

    @property
    def last(self) -> int | None:
        """The last dimension."""
        return self.shape[-1] if self.shape else None


@dataclass(frozen=True, slots=True)
class RawModel:
    """What is known about a model before its head is built."""

    outputs: tuple[RawOutput, ...]
    operators: frozenset[str]
    """types of all its operators"""
    width: int
    """of the input, pixels"""
    height: int
    """of the input, pixels"""
    planar: bool
    """whether the input is [B, 3, H, W], not [B, H, W, 3]"""
    integer_input: bool
    """whether the input is uint8"""
    takes_image_size: bool
    """whether it has another input for the size of the image"""
    name_count: int | None
    """number of class names given, None if there are none"""
    coco_names: bool = False
    """whether the class names are those of COCO"""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """what its exporter says of it"""

    def cells(self, strides: Strides = THREE_LEVELS) -> int:
        """The number of cells on all levels of a grid detector."""
        return sum(math.ceil(self.width / stride) * math.ceil(self.height / stride) for stride in strides)

    def expects(self, classes: int) -> bool:
        """Whether a model has this many classes: as many as names are given, or 80 as in COCO."""
        return classes == (_COCO_CLASSES if self.name_count is None else self.name_count)


@dataclass(frozen=True, slots=True)
class HeadSpec:
    """What a head must output."""

    max_candidates: int
    """for each image"""
    label_count: int
    """number of classes with a name"""
    label_by_class: tuple[int, ...] | None = None
    """label index of each class of the model, -1 for none; None: label indices equal class ids"""


@dataclass(frozen=True, slots=True)
class Match:
    """How a model fits a family."""

    classes: int | None
    """number of classes, None if the outputs do not show it"""
    build: Callable[[GraphBuilder, tuple[str, ...], HeadSpec], int]
    """appends the head to the outputs, given as float32 tensors in the order of the file; returns K"""
    first_category: int | None = None
    """the category id of class 0 if classes are COCO's category ids, which have gaps"""
    geometry: InputGeometry | None = None
    """None: the family's"""
    background: bool = False
    """whether class 0 is the background"""
    one_image: bool = False
    """whether the outputs hold one image, without a batch dimension"""
    sure: bool = True
    """False if other families have the same outputs; then `family` must say which it is"""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Why a model does not fit a family."""

    why: str
    """a clause, shown in error messages"""
    fitting: int = 0
    """how many of the family's facts fit the model"""


@dataclass(frozen=True, slots=True)
class Family:
    """A layout of a detector's outputs."""

    name: str
    layout: str
    """one line, shown in error messages"""
    geometry: InputGeometry
    """unless the user says otherwise"""
    nms: bool
    """whether the candidates need NMS"""
    match: Callable[[RawModel], Match | Mismatch]
    """how a model fits, or why it does not"""
    export: str = ""
    """how to export such a model, shown in error messages"""

    @property
    def max_candidates(self) -> int:
        """The largest number of candidates for each image."""
        return 1000 if self.nms else 300


def top_k(graph: GraphBuilder, scores: str, candidates: int) -> str:
    """Writes the output `scores` [B, K] from scores [B, N], in descending order; returns the indices [B, K]."""
    _, indices = graph.add_many("TopK", scores, graph.const([candidates]), outputs=(CANONICAL[1], "head/best"))
    return indices


def gather_rows(
    graph: GraphBuilder, data: str, indices: str, width: int, axis: int = 1, output: str | None = None
) -> str:
    """Gathers the rows with indices [B, K] from data [B, N, width] (axis 1) or [B, width, N] (axis 2)."""
    shape = (1, 1, width) if axis == 1 else (1, width, 1)
    ones = graph.const(np.ones(shape), np.int64)
    wide = graph.add("Mul", graph.unsqueeze(indices, 2 if axis == 1 else 1), ones)
    return graph.add("GatherElements", data, wide, axis=axis, output=output)


def from_object_list(
    graph: GraphBuilder, boxes: str, scores: str, labels: str, count: int | None, spec: HeadSpec
) -> int:
    """Writes all outputs from a list of objects: boxes [B, N, 4] xyxy in input pixels, scores and labels [B, N].

    `count` is N, None if it varies. Classes without a name are dropped. Returns K.
    """
    scores, labels = _drop_nameless(graph, scores, labels, spec)
    candidates = min(spec.max_candidates, count or spec.max_candidates)
    if count is None:  # TopK needs at least K entries
        nothing = graph.const(-1.0, np.float32)
        boxes = graph.add("Pad", boxes, graph.const([0, 0, 0, 0, candidates, 0]))
        scores = graph.add("Pad", scores, graph.const([0, 0, 0, candidates]), nothing)
        labels = graph.add("Pad", labels, graph.const([0, 0, 0, candidates]))
    indices = top_k(graph, scores, candidates)
    gather_rows(graph, boxes, indices, 4, output=CANONICAL[0])
    graph.cast(graph.add("GatherElements", labels, indices, axis=1), TensorProto.INT32, output=CANONICAL[2])
    return candidates


def input_pixels(graph: GraphBuilder, raw: RawModel) -> str:
    """The factor [1, 1, 4] from normalised boxes (0 to 1) to input pixels."""
    return graph.const(np.reshape([raw.width, raw.height] * 2, (1, 1, 4)), np.float32)


def canonical_outputs(batch: int | str, candidates: int) -> list[onnx.ValueInfoProto]:
    """The graph's outputs after a head has been appended."""
    make = onnx.helper.make_tensor_value_info
    return [
        make(CANONICAL[0], TensorProto.FLOAT, [batch, candidates, 4]),
        make(CANONICAL[1], TensorProto.FLOAT, [batch, candidates]),
        make(CANONICAL[2], TensorProto.INT32, [batch, candidates]),
    ]


def _drop_nameless(graph: GraphBuilder, scores: str, labels: str, spec: HeadSpec) -> tuple[str, str]:
    """Scores and label indices [B, N]; the score is -1 if the class has no name."""
    nothing = graph.const(-1.0, np.float32)
    whole = graph.add("Equal", labels, graph.add("Floor", labels))
    scores = graph.add("Where", whole, scores, graph.const(NO_CLASS_SCORE, np.float32))
    known = spec.label_count if spec.label_by_class is None else len(spec.label_by_class)
    within = graph.add("Clip", labels, graph.const(0.0, np.float32), graph.const(known - 1.0, np.float32))
    # NaN is not outside, so that it is refused as no whole number
    beyond = graph.add("Abs", graph.add("Sub", labels, within))
    outside = graph.add("Greater", beyond, graph.const(0.0, np.float32))
    scores = graph.add("Where", outside, nothing, scores)
    if spec.label_by_class is None:
        return scores, within
    table = graph.const(spec.label_by_class, np.float32)
    mapped = graph.add("Gather", table, graph.cast(within, TensorProto.INT32), axis=0)
    nameless = graph.add("Less", mapped, graph.const(0.0, np.float32))
    return graph.add("Where", nameless, nothing, scores), mapped

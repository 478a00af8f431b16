"""DETR-like models without post-processing: logits [B, Q, C] and boxes [B, Q, 4], normalised centre and size.

Each class has its own sigmoid, so a query may yield two objects: the top K of all Q x C pairs are taken.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from onnx import TensorProto

from engines.graphs.builder import GraphBuilder
from engines.graphs.heads.base import (
    CANONICAL,
    IMAGENET_MEAN,
    IMAGENET_STD,
    Family,
    HeadSpec,
    Match,
    Mismatch,
    RawModel,
    RawOutput,
    gather_rows,
    input_pixels,
    top_k,
)
from engines.graphs.heads.dense import GRIDS, single_dense_output, xyxy_from_cxcywh
from engines.graphs.preprocess import InputGeometry
from engines.records import Fit

_MOST_QUERIES = 1000
COCO_CATEGORIES = 91
"""classes of models that use COCO's category ids, 0 to 90"""
_RF_DETR = InputGeometry(Fit.STRETCH, pad=0, rgb=True, mean=IMAGENET_MEAN, std=IMAGENET_STD)


@dataclass(frozen=True, slots=True)
class _Outputs:
    """The roles of the outputs."""

    logits: int
    """index"""
    boxes: int
    """index"""
    queries: int
    sigmoided: bool
    """whether the logits are already scores"""


def _match(raw: RawModel) -> Match | Mismatch:
    roles = query_outputs(raw)
    if roles is None:
        return _match_joined(raw)
    if isinstance(roles, Mismatch):
        return roles
    logits, boxes = roles
    if "Softmax" in logits.tail:
        return Mismatch(f"{logits.name} passes a softmax", 2)
    queries, classes = int(logits.shape[1] or 0), int(logits.shape[2] or 0)
    outputs = _Outputs(raw.outputs.index(logits), raw.outputs.index(boxes), queries, "Sigmoid" in logits.tail)
    return Match(
        # DETR and YOLOS have the same outputs, but no deformable attention, and the last of their logits is no class
        sure="GridSample" in raw.operators or outputs.sigmoided,
        classes=classes,
        build=functools.partial(_build, raw, outputs),
        first_category=0 if classes == COCO_CATEGORIES else None,
        geometry=_RF_DETR if {logits.name, boxes.name} == {"labels", "dets"} else None,
    )


def query_outputs(raw: RawModel) -> tuple[RawOutput, RawOutput] | Mismatch | None:
    """Logits [B, Q, C] and boxes [B, Q, 4]; None if there are no such outputs."""
    roles = _roles(raw)
    if roles is None:
        return None
    logits, boxes = roles
    queries, classes = logits.shape[1:]
    if queries is None or classes is None or boxes.shape[1] != queries:
        return Mismatch(f"{logits.name} and {boxes.name} need as many rows", 1)
    if not _are_queries(raw, queries):
        return Mismatch(f"{logits.name} has {queries} rows: cells of a grid, or more than queries of a DETR", 1)
    return logits, boxes


def _roles(raw: RawModel) -> tuple[RawOutput, RawOutput] | None:
    """Logits and boxes."""
    dense = [output for output in raw.outputs if output.rank == 3]
    named = [o for o in dense if "logits" in o.name], [o for o in dense if "pred_boxes" in o.name]
    if len(named[0]) == len(named[1]) == 1 and named[1][0].last == 4:
        return named[0][0], named[1][0]
    if len(dense) != 2 or len(raw.outputs) != 2:
        return None
    boxes = [o for o in dense if o.last == 4]
    if len(boxes) == 2:  # a model of four classes
        boxes = [o for o in dense if "box" in o.name] or [o for o in dense if "Sigmoid" in o.tail]
    if len(boxes) != 1:
        return None
    return dense[1 - dense.index(boxes[0])], boxes[0]


def _are_queries(raw: RawModel, count: int) -> bool:
    """Whether this is a number of queries, not of grid cells."""
    return count <= _MOST_QUERIES and count not in {raw.cells(strides) for strides in GRIDS}


def _match_joined(raw: RawModel) -> Match | Mismatch:
    """RT-DETR as Ultralytics exports it: boxes and sigmoided scores in one output [B, Q, 4 + C]."""
    output = single_dense_output(raw)
    if output is None or output.last is None or output.last <= 4:
        return Mismatch("it needs outputs for logits and boxes")
    if "GridSample" not in raw.operators:
        return Mismatch("it has no GridSample, which the attention of these models has", 1)
    if "TopK" in output.tail:
        return Mismatch(f"{output.name} holds the best objects, one a row", 2)
    queries = output.shape[1]
    if queries is None or not _are_queries(raw, queries):
        return Mismatch(f"{output.name} has {queries} rows: cells of a grid, or more than queries of a DETR", 2)
    return Match(output.last - 4, functools.partial(_build_joined, raw, raw.outputs.index(output), queries))


def _build(raw: RawModel, outputs: _Outputs, graph: GraphBuilder, tensors: tuple[str, ...], spec: HeadSpec) -> int:
    logits, boxes = tensors[outputs.logits], tensors[outputs.boxes]
    if spec.label_by_class is not None:
        classes = [spec.label_by_class.index(label) for label in range(spec.label_count)]
        logits = graph.add("Gather", logits, graph.const(classes), axis=2)
    scores = logits if outputs.sigmoided else graph.add("Sigmoid", logits)
    return _top_k_pairs(graph, scores, graph.add("Mul", boxes, input_pixels(graph, raw)), outputs.queries, spec)


def _build_joined(
    raw: RawModel, index: int, queries: int, graph: GraphBuilder, tensors: tuple[str, ...], spec: HeadSpec
) -> int:
    rows = tensors[index]
    boxes = graph.add("Mul", graph.slice(rows, 0, 4, 2), input_pixels(graph, raw))
    return _top_k_pairs(graph, graph.slice(rows, 4, 4 + spec.label_count, 2), boxes, queries, spec)


def _top_k_pairs(graph: GraphBuilder, scores: str, boxes: str, queries: int, spec: HeadSpec) -> int:
    """Writes all outputs from scores [B, Q, C] and boxes [B, Q, 4], centre and size in input pixels."""
    candidates = min(spec.max_candidates, queries * spec.label_count)
    pairs = top_k(graph, graph.reshape(scores, 0, -1), candidates)
    classes = graph.const([spec.label_count])
    query = graph.add("Div", pairs, classes)
    label = graph.add("Sub", pairs, graph.add("Mul", query, classes))
    graph.cast(label, TensorProto.INT32, output=CANONICAL[2])
    xyxy_from_cxcywh(graph, gather_rows(graph, boxes, query, 4))
    return candidates


FAMILY = Family(
    name="detr-raw",
    layout="outputs logits [batch, queries, classes] and boxes [batch, queries, 4], normalised centre and size",
    geometry=InputGeometry(Fit.STRETCH, pad=0, rgb=True, std=(255.0, 255.0, 255.0)),
    nms=False,
    match=_match,
    export="model.export() of RF-DETR, or optimum-cli export onnx of Hugging Face",
)

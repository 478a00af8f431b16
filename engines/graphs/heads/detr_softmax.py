"""DETR and YOLOS: logits [B, Q, C + 1], of which the last is for no object, and boxes [B, Q, 4], cxcywh from 0 to 1."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from engines.graphs.builder import GraphBuilder
from engines.graphs.heads.base import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Family,
    HeadSpec,
    Match,
    Mismatch,
    RawModel,
    from_object_list,
    input_pixels,
)
from engines.graphs.heads.dense import xyxy_from_cxcywh
from engines.graphs.heads.detr_raw import COCO_CATEGORIES, query_outputs
from engines.graphs.preprocess import InputGeometry
from engines.records import Fit


@dataclass(frozen=True, slots=True)
class _Shape:
    """The roles of the outputs."""

    logits: int
    """index"""
    boxes: int
    """index"""
    queries: int
    softmaxed: bool
    """whether the logits are already scores"""


def _match(raw: RawModel) -> Match | Mismatch:
    outputs = query_outputs(raw)
    if outputs is None:
        return Mismatch("it needs outputs for logits and boxes")
    if isinstance(outputs, Mismatch):
        return outputs
    logits, boxes = outputs
    if "GridSample" in raw.operators or "Sigmoid" in logits.tail:
        return Mismatch("its attention is deformable, or its scores pass a sigmoid, as in RT-DETR", 2)
    classes = int(logits.shape[2] or 0) - 1
    if classes < 1:
        return Mismatch(f"{logits.name} needs a column for each class and one for no object", 2)
    shape = _Shape(
        raw.outputs.index(logits), raw.outputs.index(boxes), int(boxes.shape[1] or 0), "Softmax" in logits.tail
    )
    return Match(
        classes,
        functools.partial(_build, raw, shape),
        first_category=0 if classes == COCO_CATEGORIES else None,
    )


def _build(raw: RawModel, shape: _Shape, graph: GraphBuilder, tensors: tuple[str, ...], spec: HeadSpec) -> int:
    logits, boxes = tensors[shape.logits], tensors[shape.boxes]
    every = logits if shape.softmaxed else graph.add("Softmax", logits, axis=2)
    scores = graph.slice(every, 0, -1, 2)
    labels = graph.as_float(graph.add("ArgMax", scores, axis=2, keepdims=0))
    pixels = graph.add("Mul", boxes, input_pixels(graph, raw))
    xyxy = xyxy_from_cxcywh(graph, pixels, output=None)
    return from_object_list(graph, xyxy, graph.reduce_max(scores, 2), labels, shape.queries, spec)


FAMILY = Family(
    name="detr-softmax",
    layout="outputs logits [batch, queries, classes + 1], for a softmax, and boxes [batch, queries, 4], cxcywh from 0 "
    "to 1 (DETR, YOLOS)",
    geometry=InputGeometry(Fit.STRETCH, pad=0, rgb=True, mean=IMAGENET_MEAN, std=IMAGENET_STD),
    nms=False,
    match=_match,
    export="optimum-cli export onnx of Hugging Face",
)

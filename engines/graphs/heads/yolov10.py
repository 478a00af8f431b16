"""Models that need no NMS: [B, N, 6], each row a box xyxy in input pixels, a score and a class."""

from __future__ import annotations

import functools

from engines.graphs.builder import GraphBuilder
from engines.graphs.heads.base import Family, HeadSpec, Match, Mismatch, RawModel, from_object_list
from engines.graphs.heads.dense import NO_SINGLE_OUTPUT, is_dense, single_dense_output
from engines.graphs.preprocess import InputGeometry
from engines.records import Fit

_MOST = 1000
"""rows that are left of a model that selects its best objects"""


def _match(raw: RawModel) -> Match | Mismatch:
    output = single_dense_output(raw)
    if output is None:
        return NO_SINGLE_OUTPUT
    if output.last != 6:
        return Mismatch(f"{output.name} needs six columns", 1)
    if "GridSample" in raw.operators:
        return Mismatch("its GridSample is one of a DETR, whose boxes are fractions of the input", 2)
    count = output.shape[1]
    selects = "TopK" in raw.operators and "ArgMax" not in output.tail and (count or 0) <= _MOST
    if is_dense(raw, count) and "NonMaxSuppression" not in raw.operators and not selects:
        return Mismatch(f"{output.name} has a row for each cell, so its boxes still need NMS", 2)
    return Match(None, functools.partial(_build, raw.outputs.index(output), count))


def _build(index: int, count: int | None, graph: GraphBuilder, tensors: tuple[str, ...], spec: HeadSpec) -> int:
    rows = tensors[index]
    return from_object_list(graph, graph.slice(rows, 0, 4, 2), graph.at(rows, 4, 2), graph.at(rows, 5, 2), count, spec)


FAMILY = Family(
    name="yolov10",
    layout="one output [batch, detections, 6]: xyxy, score, class (YOLOv10, YOLO26, Ultralytics exports with nms=True)",
    geometry=InputGeometry(Fit.CENTRED, pad=114, rgb=True, std=(255.0, 255.0, 255.0)),
    nms=False,
    match=_match,
    export="yolo export model=NAME.pt format=onnx",
)

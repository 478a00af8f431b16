"""Models that need no NMS: [B, N, 6], each row a box xyxy in input pixels, a score and a class."""

from __future__ import annotations

import functools

from engines.graphs.builder import GraphBuilder
from engines.graphs.heads.base import Family, HeadSpec, Match, RawModel, from_object_list
from engines.graphs.heads.dense import GRIDS, single_dense_output
from engines.graphs.preprocess import InputGeometry
from engines.records import Fit


def _match(raw: RawModel) -> Match | None:
    output = single_dense_output(raw)
    if output is None or output.last != 6 or "GridSample" in raw.operators:
        return None
    count = output.shape[1]
    dense = {factor * raw.cells(strides) for strides in GRIDS for factor in (1, 3)}
    if count in dense and raw.operators.isdisjoint({"TopK", "NonMaxSuppression"}):
        return None  # a family that scores every cell, with one or two classes
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
)

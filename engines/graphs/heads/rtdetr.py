"""RT-DETR as Ultralytics exports it since 8.4: [B, N, 6], each row a box cxcywh from 0 to 1, a score and a class."""

from __future__ import annotations

import functools

from engines.graphs.builder import GraphBuilder
from engines.graphs.heads.base import Family, HeadSpec, Match, Mismatch, RawModel, from_object_list, input_pixels
from engines.graphs.heads.dense import NO_SINGLE_OUTPUT, single_dense_output, xyxy_from_cxcywh
from engines.graphs.preprocess import InputGeometry
from engines.records import Fit


def _match(raw: RawModel) -> Match | Mismatch:
    output = single_dense_output(raw)
    if output is None:
        return NO_SINGLE_OUTPUT
    if output.last != 6:
        return Mismatch(f"{output.name} needs six columns", 1)
    if "GridSample" not in raw.operators:
        return Mismatch("it has no GridSample, which the attention of an RT-DETR has", 2)
    if "TopK" not in output.tail:  # boxes and the scores of two classes
        return Mismatch(f"{output.name} does not hold the best objects, since no TopK comes before it", 2)
    return Match(None, functools.partial(_build, raw, raw.outputs.index(output), output.shape[1]))


def _build(
    raw: RawModel, index: int, count: int | None, graph: GraphBuilder, tensors: tuple[str, ...], spec: HeadSpec
) -> int:
    rows = tensors[index]
    pixels = graph.add("Mul", graph.slice(rows, 0, 4, 2), input_pixels(graph, raw))
    boxes = xyxy_from_cxcywh(graph, pixels, output=None)
    return from_object_list(graph, boxes, graph.at(rows, 4, 2), graph.at(rows, 5, 2), count, spec)


FAMILY = Family(
    name="rtdetr",
    layout="one output [batch, detections, 6]: cxcywh from 0 to 1, score, class (RT-DETR of Ultralytics)",
    geometry=InputGeometry(Fit.STRETCH, pad=0, rgb=True, std=(255.0, 255.0, 255.0)),
    nms=False,
    match=_match,
    export="yolo export model=rtdetr-l.pt format=onnx",
)

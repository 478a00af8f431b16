"""DeepStream-Yolo's exports: [B, cells, 6], each row a box xyxy in input pixels, the best score and its class."""

from __future__ import annotations

import functools

from engines.graphs.builder import GraphBuilder
from engines.graphs.heads.base import Family, HeadSpec, Match, Mismatch, RawModel, from_object_list
from engines.graphs.heads.dense import NO_SINGLE_OUTPUT, is_dense, single_dense_output
from engines.graphs.preprocess import InputGeometry
from engines.records import Fit


def _match(raw: RawModel) -> Match | Mismatch:
    output = single_dense_output(raw)
    if output is None:
        return NO_SINGLE_OUTPUT
    if output.last != 6:
        return Mismatch(f"{output.name} needs six columns", 1)
    if not is_dense(raw, output.shape[1]):
        return Mismatch(f"{output.name} needs a row for each of {raw.cells()} cells", 1)
    if "NonMaxSuppression" in raw.operators:
        return Mismatch(f"the boxes of {output.name} have passed NMS", 2)
    if "ArgMax" not in output.tail:
        return Mismatch(f"the last column of {output.name} is no class, since no ArgMax comes before it", 2)
    return Match(None, functools.partial(_build, raw.outputs.index(output), output.shape[1]))


def _build(index: int, count: int | None, graph: GraphBuilder, tensors: tuple[str, ...], spec: HeadSpec) -> int:
    rows = tensors[index]
    return from_object_list(graph, graph.slice(rows, 0, 4, 2), graph.at(rows, 4, 2), graph.at(rows, 5, 2), count, spec)


FAMILY = Family(
    name="deepstream-yolo",
    layout="one output [batch, cells, 6]: xyxy, best score, its class (DeepStream-Yolo)",
    geometry=InputGeometry(Fit.CENTRED, pad=114, rgb=True, std=(255.0, 255.0, 255.0)),
    nms=True,
    match=_match,
    export="utils/export_yoloV8.py of DeepStream-Yolo",
)

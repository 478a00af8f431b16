"""YOLOX as its own exporter writes it: [B, N, 5 + C], boxes relative to the grid, scores already sigmoided.

Decoding after Ge et al., YOLOX (arXiv 2107.08430): centre = (xy + cell) * stride, size = exp(wh) * stride.
"""

from __future__ import annotations

import functools

import numpy as np

from engines.graphs.builder import GraphBuilder
from engines.graphs.heads.base import THREE_LEVELS, Family, HeadSpec, Match, Mismatch, RawModel
from engines.graphs.heads.dense import (
    NO_SINGLE_OUTPUT,
    cell_grid,
    single_dense_output,
    top_k_with_objectness,
    xyxy_from_center_and_size,
    xyxy_from_cxcywh,
)
from engines.graphs.preprocess import InputGeometry
from engines.records import Fit


def _match(raw: RawModel) -> Match | Mismatch:
    output = single_dense_output(raw)
    if output is None:
        return NO_SINGLE_OUTPUT
    if output.selects:
        return Mismatch(f"a row of {output.name} has one class, as an ArgMax or TopK before it tells", 1)
    if output.shape[1] != raw.cells():
        return Mismatch(f"{output.name} needs {raw.cells()} rows, one per cell", 1)
    if output.last is None or output.last < 6:
        return Mismatch(f"a row of {output.name} needs a box, an objectness and classes", 2)
    if {"Add", "Sub"} <= output.tail and "Exp" not in output.tail:  # corners from the distances of a YOLOv6
        return Mismatch(f"the boxes of {output.name} are decoded by the model, and not as a YOLOX decodes them", 2)
    # exported with decode_in_inference the model decodes its boxes, which takes an Exp
    build = _decoded if "Exp" in output.tail else _build
    return Match(output.last - 5, functools.partial(build, raw, raw.outputs.index(output)))


def _build(raw: RawModel, index: int, graph: GraphBuilder, tensors: tuple[str, ...], spec: HeadSpec) -> int:
    candidates = min(spec.max_candidates, raw.cells())
    indices, boxes = top_k_with_objectness(graph, tensors[index], spec.label_count, candidates)
    cells = graph.add("Gather", graph.const(cell_grid(raw, THREE_LEVELS), np.float32), indices, axis=0)
    cell, stride = graph.slice(cells, 0, 2, 2), graph.slice(cells, 2, 3, 2)
    centre = graph.add("Mul", graph.add("Add", graph.slice(boxes, 0, 2, 2), cell), stride)
    xyxy_from_center_and_size(graph, centre, graph.add("Mul", graph.add("Exp", graph.slice(boxes, 2, 4, 2)), stride))
    return candidates


def _decoded(raw: RawModel, index: int, graph: GraphBuilder, tensors: tuple[str, ...], spec: HeadSpec) -> int:
    candidates = min(spec.max_candidates, raw.cells())
    _, boxes = top_k_with_objectness(graph, tensors[index], spec.label_count, candidates)
    xyxy_from_cxcywh(graph, boxes)
    return candidates


FAMILY = Family(
    name="yolox",
    layout="one output [batch, cells, 5 + classes], relative to the grid or decoded with Exp",
    geometry=InputGeometry(Fit.TOP_LEFT, pad=114, rgb=False),
    nms=True,
    match=_match,
    export="python tools/export_onnx.py of YOLOX",
)

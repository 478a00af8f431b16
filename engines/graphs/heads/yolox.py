"""YOLOX as its own exporter writes it: [B, N, 5 + C], boxes relative to the grid, scores already sigmoided.

Decoding after Ge et al., YOLOX (arXiv 2107.08430): centre = (xy + cell) * stride, size = exp(wh) * stride.
"""

from __future__ import annotations

import functools

import numpy as np

from engines.graphs.builder import GraphBuilder
from engines.graphs.heads.base import THREE_LEVELS, Family, Match, RawModel, Wanted
from engines.graphs.heads.dense import best_with_objectness, cell_grid, centred, corners, only_dense
from engines.graphs.preprocess import InputGeometry
from engines.records import Fit


def _match(raw: RawModel) -> Match | None:
    output = only_dense(raw)
    if output is None or output.shape[1] != raw.cells() or output.last is None or output.last < 6:
        return None
    # with decode_in_inference the exporter leaves the decoding to the model, and only that takes an exponential
    build = _decoded if "Exp" in output.tail else _build
    return Match(output.last - 5, functools.partial(build, raw, raw.outputs.index(output)))


def _build(raw: RawModel, index: int, graph: GraphBuilder, tensors: tuple[str, ...], wanted: Wanted) -> int:
    candidates = min(wanted.candidates, raw.cells())
    indices, boxes = best_with_objectness(graph, tensors[index], wanted.labels, candidates)
    cells = graph.add("Gather", graph.const(cell_grid(raw, THREE_LEVELS), np.float32), indices, axis=0)
    cell, stride = graph.slice(cells, 0, 2, 2), graph.slice(cells, 2, 3, 2)
    centre = graph.add("Mul", graph.add("Add", graph.slice(boxes, 0, 2, 2), cell), stride)
    corners(graph, centre, graph.add("Mul", graph.add("Exp", graph.slice(boxes, 2, 4, 2)), stride))
    return candidates


def _decoded(raw: RawModel, index: int, graph: GraphBuilder, tensors: tuple[str, ...], wanted: Wanted) -> int:
    candidates = min(wanted.candidates, raw.cells())
    _, boxes = best_with_objectness(graph, tensors[index], wanted.labels, candidates)
    centred(graph, boxes)
    return candidates


FAMILY = Family(
    name="yolox",
    layout="one output [batch, cells, 5 + classes], relative to the grid or decoded with Exp",
    geometry=InputGeometry(Fit.TOP_LEFT, pad=114, rgb=False),
    nms=True,
    match=_match,
)

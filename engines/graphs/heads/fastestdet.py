"""FastestDet: one map [B, 5 + C, h, w]: objectness, offset and size of a box, class scores.

Offsets pass tanh and are in cells, sizes pass a sigmoid and are fractions of the input; objectness and class scores are
probabilities: score = objectness^0.6 * class^0.4.
"""

from __future__ import annotations

import functools

import numpy as np

from engines.graphs.builder import GraphBuilder
from engines.graphs.heads.base import Family, HeadSpec, Match, Mismatch, RawModel, gather_rows, top_k
from engines.graphs.heads.dense import cell_grid, write_labels, xyxy_from_center_and_size
from engines.graphs.preprocess import InputGeometry
from engines.records import Fit

_STRIDE = 16


def _match(raw: RawModel) -> Match | Mismatch:
    if len(raw.outputs) != 1 or raw.outputs[0].rank != 4:
        return Mismatch("it needs one output of four dimensions")
    _, columns, rows, across = raw.outputs[0].shape
    if columns is None or columns < 6 or (rows, across) != (-(-raw.height // _STRIDE), -(-raw.width // _STRIDE)):
        return Mismatch(f"{raw.outputs[0].name} needs six channels or more, and one cell for {_STRIDE} pixels", 1)
    return Match(columns - 5, functools.partial(_build, raw))


def _build(raw: RawModel, graph: GraphBuilder, tensors: tuple[str, ...], spec: HeadSpec) -> int:
    cells, columns = raw.cells((_STRIDE,)), 5 + spec.label_count
    candidates = min(spec.max_candidates, cells)
    flat = graph.reshape(tensors[0], 0, columns, cells)
    rows = graph.add("Transpose", flat, perm=[0, 2, 1])
    objectness = graph.add("Pow", graph.at(rows, 0, 2), graph.const(0.6, np.float32))
    of_class = graph.add("Pow", graph.reduce_max(graph.slice(rows, 5, columns, 2), 2), graph.const(0.4, np.float32))
    indices = top_k(graph, graph.add("Mul", objectness, of_class), candidates)
    chosen = gather_rows(graph, rows, indices, columns)
    grid = graph.const(cell_grid(raw, (_STRIDE,))[:, :2], np.float32)
    cell = graph.add("Gather", grid, indices, axis=0)
    shifted = graph.add("Add", cell, graph.add("Tanh", graph.slice(chosen, 1, 3, 2)))
    size = graph.add("Sigmoid", graph.slice(chosen, 3, 5, 2))
    # cells may extend beyond an input whose size is no multiple of the stride, so their pitch is below the stride
    pitch = graph.const([[[raw.width / -(-raw.width // _STRIDE), raw.height / -(-raw.height // _STRIDE)]]], np.float32)
    full = graph.const([[[raw.width, raw.height]]], np.float32)
    xyxy_from_center_and_size(graph, graph.add("Mul", shifted, pitch), graph.add("Mul", size, full))
    write_labels(graph, graph.slice(chosen, 5, columns, 2))
    return candidates


FAMILY = Family(
    name="fastestdet",
    layout="one output [batch, 5 + classes, height / 16, width / 16]",
    geometry=InputGeometry(Fit.STRETCH, pad=0, rgb=False, std=(255.0, 255.0, 255.0)),
    nms=True,
    match=_match,
    export="python test.py --onnx of FastestDet",
)

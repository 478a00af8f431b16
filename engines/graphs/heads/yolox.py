"""YOLOX as its own exporter writes it: [B, N, 5 + C], boxes relative to the grid, scores already sigmoided.

Decoding after Ge et al., YOLOX (arXiv 2107.08430): centre = (xy + cell) * stride, size = exp(wh) * stride.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engines.graphs.builder import GraphBuilder
from engines.graphs.heads.base import Family, RawOutputs, best, class_of, corners, grid_cells, pick
from engines.graphs.preprocess import InputGeometry
from engines.records import Fit

_STRIDES = (8, 16, 32)


def _classes(outputs: RawOutputs) -> int | None:
    if len(outputs.shapes) != 1 or len(outputs.shapes[0]) != 3:
        return None
    _, cells, columns = outputs.shapes[0]
    if cells != grid_cells(outputs.width, outputs.height) or columns is None or columns < 6:
        return None
    if "Exp" in outputs.operators:  # decoded inside the model: the same shape, other numbers
        return None
    return columns - 5


def _grid(width: int, height: int) -> NDArray[np.float32]:
    """[N, 3]: column, row and stride of every cell."""
    levels = []
    for stride in _STRIDES:
        rows, columns = np.mgrid[: height // stride, : width // stride]
        levels.append(np.stack([columns.ravel(), rows.ravel(), np.full(rows.size, stride)], axis=1))
    return np.concatenate(levels).astype(np.float32)


def _build(graph: GraphBuilder, outputs: RawOutputs, classes: int, candidates: int) -> int:
    candidates = min(candidates, grid_cells(outputs.width, outputs.height))
    raw, columns = outputs.names[0], 5 + classes
    objectness = graph.slice(raw, 4, 5, 2)
    class_scores = graph.slice(raw, 5, columns, 2)
    flat = graph.const([0, -1])
    scores = graph.add("Mul", graph.reduce_max(class_scores, 2), graph.add("Reshape", objectness, flat))
    indices = best(graph, scores, candidates)
    rows = pick(graph, raw, indices, 1, columns)
    cells = graph.add("Gather", graph.const(_grid(outputs.width, outputs.height), np.float32), indices, axis=0)
    cell, stride = graph.slice(cells, 0, 2, 2), graph.slice(cells, 2, 3, 2)
    centre = graph.add("Mul", graph.add("Add", graph.slice(rows, 0, 2, 2), cell), stride)
    size = graph.add("Mul", graph.add("Exp", graph.slice(rows, 2, 4, 2)), stride)
    corners(graph, centre, size)
    class_of(graph, graph.slice(rows, 5, columns, 2))
    return candidates


FAMILY = Family(
    name="yolox",
    layout="one output [batch, cells, 5 + classes], not decoded",
    geometry=InputGeometry(Fit.TOP_LEFT, pad=114, rgb=False),
    nms=True,
    candidates=1000,
    classes=_classes,
    build=_build,
)

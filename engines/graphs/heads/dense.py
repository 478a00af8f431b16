"""Steps that heads of grid detectors share: one output with a row or column of box and class scores per cell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from engines.graphs.builder import GraphBuilder
from engines.graphs.heads.base import (
    CANONICAL,
    FOUR_LEVELS,
    THREE_LEVELS,
    Mismatch,
    RawModel,
    RawOutput,
    Strides,
    gather_rows,
    top_k,
)

GRIDS: tuple[Strides, ...] = (THREE_LEVELS, FOUR_LEVELS, (4, 8, 16, 32), (16, 32))
"""strides of existing YOLO models: usual, P6, P2, tiny"""


def single_dense_output(raw: RawModel) -> RawOutput | None:
    """The only output [B, a, b], ignoring undecoded maps [B, anchors, h, w, c], which old exports add."""
    dense = [output for output in raw.outputs if output.rank == 3]
    others = [output for output in raw.outputs if output.rank not in {3, 5}]
    return dense[0] if len(dense) == 1 and not others else None


NO_SINGLE_OUTPUT = Mismatch("it needs one output of three dimensions")


def is_dense(raw: RawModel, rows: int | None) -> bool:
    """Whether there is a row, or three, for each cell of a grid."""
    return rows in {factor * raw.cells(strides) for strides in GRIDS for factor in (1, 3)}


def is_decoded(output: RawOutput) -> bool:
    """Whether the model decodes its boxes: whether arithmetic follows its last layers."""
    return not output.tail.isdisjoint({"Add", "Sub", "Mul", "Div", "Pow", "Exp"})


def cell_grid(raw: RawModel, strides: Strides, offset: float = 0.0) -> NDArray[np.float32]:
    """[N, 3]: column and row of each cell, plus `offset`, and its stride."""
    levels = []
    for stride in strides:
        rows, columns = np.mgrid[: -(-raw.height // stride), : -(-raw.width // stride)]
        levels.append(np.stack([columns.ravel() + offset, rows.ravel() + offset, np.full(rows.size, stride)], axis=1))
    return np.concatenate(levels).astype(np.float32)


def top_k_with_objectness(graph: GraphBuilder, rows: str, classes: int, candidates: int) -> tuple[str, str]:
    """Writes `scores` and `labels` from rows [B, N, 5 + classes]: box, objectness, class scores.

    Returns the indices [B, K] of the top K and their boxes [B, K, 4], unchanged.
    """
    columns = 5 + classes
    class_scores = graph.reduce_max(graph.slice(rows, 5, columns, 2), 2)
    scores = graph.add("Mul", class_scores, graph.at(rows, 4, 2))
    indices = top_k(graph, scores, candidates)
    chosen = gather_rows(graph, rows, indices, columns)
    write_labels(graph, graph.slice(chosen, 5, columns, 2))
    return indices, graph.slice(chosen, 0, 4, 2)


def write_labels(graph: GraphBuilder, class_scores: str) -> None:
    """Writes `labels`: the best class of each candidate, from class_scores [B, K, C]."""
    graph.cast(graph.add("ArgMax", class_scores, axis=2, keepdims=0), TensorProto.INT32, output=CANONICAL[2])


def xyxy_from_center_and_size(graph: GraphBuilder, centre: str, size: str, output: str | None = CANONICAL[0]) -> str:
    """xyxy from centre and size, each [B, K, 2]: the output `boxes`, or an intermediate tensor if None."""
    half = graph.add("Mul", size, graph.const(0.5, np.float32))
    ends = graph.add("Sub", centre, half), graph.add("Add", centre, half)
    return graph.add("Concat", *ends, axis=2, output=output)


def xyxy_from_cxcywh(graph: GraphBuilder, boxes: str, output: str | None = CANONICAL[0]) -> str:
    """As xyxy_from_center_and_size, from boxes [B, K, 4] of centre and size."""
    return xyxy_from_center_and_size(graph, graph.slice(boxes, 0, 2, 2), graph.slice(boxes, 2, 4, 2), output)

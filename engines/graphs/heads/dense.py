"""What the heads of grid detectors share: one output with a row or column for every cell, boxes and class scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from engines.graphs.builder import GraphBuilder
from engines.graphs.heads.base import CANONICAL, FOUR_LEVELS, THREE_LEVELS, RawModel, RawOutput, Strides, best, pick

GRIDS: tuple[Strides, ...] = (THREE_LEVELS, FOUR_LEVELS, (4, 8, 16, 32), (16, 32))
"""strides of the YOLO models that there are: usual, P6, P2, tiny"""


def only_dense(raw: RawModel) -> RawOutput | None:
    """The only output [B, a, b]; undecoded maps [B, anchors, h, w, c], which old exports add, do not count."""
    dense = [output for output in raw.outputs if output.rank == 3]
    others = [output for output in raw.outputs if output.rank not in {3, 5}]
    return dense[0] if len(dense) == 1 and not others else None


def is_decoded(output: RawOutput) -> bool:
    """Whether the model computes with what its last layers give, as decoding boxes does."""
    return not output.tail.isdisjoint({"Add", "Sub", "Mul", "Div", "Pow", "Exp"})


def cell_grid(raw: RawModel, strides: Strides, offset: float = 0.0) -> NDArray[np.float32]:
    """[N, 3]: column and row of every cell, each plus `offset`, and its stride."""
    levels = []
    for stride in strides:
        rows, columns = np.mgrid[: -(-raw.height // stride), : -(-raw.width // stride)]
        levels.append(np.stack([columns.ravel() + offset, rows.ravel() + offset, np.full(rows.size, stride)], axis=1))
    return np.concatenate(levels).astype(np.float32)


def best_with_objectness(graph: GraphBuilder, rows: str, classes: int, candidates: int) -> tuple[str, str]:
    """Writes `scores` and `labels` from rows [B, N, 5 + classes]: box, objectness, class scores.

    Gives the indices [B, K] of the best and their boxes [B, K, 4] as they are in the rows.
    """
    columns = 5 + classes
    class_scores = graph.reduce_max(graph.slice(rows, 5, columns, 2), 2)
    scores = graph.add("Mul", class_scores, graph.at(rows, 4, 2))
    indices = best(graph, scores, candidates)
    chosen = pick(graph, rows, indices, columns)
    class_of(graph, graph.slice(chosen, 5, columns, 2))
    return indices, graph.slice(chosen, 0, 4, 2)


def class_of(graph: GraphBuilder, class_scores: str) -> None:
    """Writes `labels`: the best class of each candidate, from class_scores [B, K, C]."""
    graph.cast(graph.add("ArgMax", class_scores, axis=2, keepdims=0), TensorProto.INT32, output=CANONICAL[2])


def corners(graph: GraphBuilder, centre: str, size: str, output: str | None = CANONICAL[0]) -> str:
    """xyxy from centre and size, each [B, K, 2]: `boxes`, or with None a tensor on the way."""
    half = graph.add("Mul", size, graph.const(0.5, np.float32))
    ends = graph.add("Sub", centre, half), graph.add("Add", centre, half)
    return graph.add("Concat", *ends, axis=2, output=output)


def centred(graph: GraphBuilder, boxes: str, output: str | None = CANONICAL[0]) -> str:
    """xyxy as in `corners`, from boxes [B, K, 4] of centre and size."""
    return corners(graph, graph.slice(boxes, 0, 2, 2), graph.slice(boxes, 2, 4, 2), output)

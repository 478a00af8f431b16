"""Heads after Li et al., Generalized Focal Loss (arXiv 2006.04388): box sides as distributions over distances.

Each cell has sigmoided class scores and 4 x (R + 1) logits: left, top, right, bottom, each a distribution over 0 to R
strides whose mean is the distance from the cell's anchor point to that side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engines.graphs.builder import GraphBuilder
from engines.graphs.heads.base import (
    CANONICAL,
    FOUR_LEVELS,
    HeadSpec,
    Mismatch,
    RawModel,
    RawOutput,
    Strides,
    gather_rows,
    top_k,
)
from engines.graphs.heads.dense import cell_grid, write_labels

SIDES = tuple(4 * (reach + 1) for reach in (7, 10, 16))
"""numbers of side logits per cell, for the values of R that models are trained with: 7, 10 and 16"""


@dataclass(frozen=True, slots=True)
class Levels:
    """The outputs of a model with two per level, finest level first."""

    scores: tuple[int, ...]
    """indices of the class scores [cells, C] or [B, cells, C]"""
    sides: tuple[int, ...]
    """indices of the logits of the sides [cells, 4 x (R + 1)] or [B, cells, 4 x (R + 1)]"""
    strides: Strides
    classes: int
    width: int
    """number of side logits per cell"""


@dataclass(frozen=True, slots=True)
class AnchorPoints:
    """The points that sides are measured from."""

    raw: RawModel
    strides: Strides
    offset: float
    """from the corner of the cell to its point, in cells, right and down"""
    width: int
    """number of side logits per cell"""


NO_LEVELS = Mismatch("it needs an output of class scores and one of box sides for each of its levels")


def levels_of(raw: RawModel) -> Levels | None:
    """The outputs by level and role, found by shape and sigmoid since exporters vary names and order."""
    strides = FOUR_LEVELS[: len(raw.outputs) // 2]
    if len(raw.outputs) not in {6, 8}:
        return None
    scores, sides = [], []
    for stride in strides:
        level = [o for o in raw.outputs if o.rank in {2, 3} and o.shape[-2] == raw.cells((stride,))]
        of_classes = _class_scores(level)
        if of_classes is None:
            return None
        scores.append(of_classes)
        sides.append(level[1 - level.index(of_classes)])
    classes, width = {o.last for o in scores}, {o.last for o in sides}
    if len(classes) != 1 or len(width) != 1:
        return None
    count, reach = classes.pop(), width.pop()
    if count is None or reach not in SIDES:
        return None
    index = raw.outputs.index
    return Levels(tuple(map(index, scores)), tuple(map(index, sides)), strides, count, reach)


def build_levels(
    raw: RawModel, levels: Levels, offset: float, graph: GraphBuilder, tensors: tuple[str, ...], spec: HeadSpec
) -> int:
    """Appends the head; `offset` as in AnchorPoints."""

    def joined(indices: tuple[int, ...], width: int) -> str:
        parts = (
            graph.reshape(tensors[index], -1, raw.cells((stride,)), width)
            for index, stride in zip(indices, levels.strides, strict=True)
        )
        return graph.add("Concat", *parts, axis=1)

    scores, sides = joined(levels.scores, levels.classes), joined(levels.sides, levels.width)
    return build(graph, scores, sides, AnchorPoints(raw, levels.strides, offset, levels.width), spec)


def build(graph: GraphBuilder, scores: str, sides: str, points: AnchorPoints, spec: HeadSpec) -> int:
    """Appends the head to scores [B, N, C] and logits of sides [B, N, 4 x (R + 1)] of all levels."""
    candidates = min(spec.max_candidates, points.raw.cells(points.strides))
    indices = top_k(graph, graph.reduce_max(scores, 2), candidates)
    write_labels(graph, gather_rows(graph, scores, indices, spec.label_count))
    bins = points.width // 4
    chosen = graph.reshape(gather_rows(graph, sides, indices, points.width), 0, candidates, 4, bins)
    means = graph.add("MatMul", graph.add("Softmax", chosen, axis=3), graph.const(np.arange(bins)[:, None], np.float32))
    grid = graph.const(cell_grid(points.raw, points.strides, points.offset), np.float32)
    cells = graph.add("Gather", grid, indices, axis=0)
    point, stride = graph.slice(cells, 0, 2, 2), graph.slice(cells, 2, 3, 2)
    distances = graph.reshape(means, 0, candidates, 4)
    low = graph.add("Sub", point, graph.slice(distances, 0, 2, 2))
    high = graph.add("Add", point, graph.slice(distances, 2, 4, 2))
    graph.add("Mul", graph.add("Concat", low, high, axis=2), stride, output=CANONICAL[0])
    return candidates


def _class_scores(level: list[RawOutput]) -> RawOutput | None:
    """The output of a level that has the class scores, None if undecided."""
    if len(level) != 2:
        return None
    clues = (
        [output for output in level if "Sigmoid" in output.tail],
        [output for output in level if output.last not in SIDES],
        [output for output in level if "cls" in output.name or "score" in output.name],
    )
    return next((found[0] for found in clues if len(found) == 1), None)

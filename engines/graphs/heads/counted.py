"""Steps for models that give objects in several outputs: boxes, scores and classes, and often their number."""

from __future__ import annotations

import functools

import numpy as np

from engines.graphs.builder import GraphBuilder
from engines.graphs.heads.base import HeadSpec, Match, Mismatch, RawModel, from_object_list


def match_counted(raw: RawModel, names: tuple[str, str, str, str]) -> Match | Mismatch:
    """Outputs count [B, 1], boxes [B, N, 4] xyxy in input pixels, scores [B, N] and classes [B, N].

    `names` are how their names end, in this order.
    """
    found = [[o for o in raw.outputs if o.name.endswith(name)] for name in names]
    if any(len(outputs) != 1 for outputs in found) or len(raw.outputs) != len(names):
        return Mismatch(f"it needs the outputs {', '.join(names)}", sum(len(outputs) == 1 for outputs in found))
    count, boxes, scores, classes = (outputs[0] for outputs in found)
    if (boxes.rank, boxes.last, scores.rank, classes.rank) != (3, 4, 2, 2):
        return Mismatch(f"{boxes.name} needs four columns, {scores.name} and {classes.name} one value for each row", 4)
    roles = tuple(raw.outputs.index(output) for output in (count, boxes, scores, classes))
    return Match(None, functools.partial(_build_counted, roles, boxes.shape[1]))


def _build_counted(
    roles: tuple[int, ...], rows: int | None, graph: GraphBuilder, tensors: tuple[str, ...], spec: HeadSpec
) -> int:
    count, boxes, scores, labels = (tensors[role] for role in roles)
    if rows is not None:
        place = graph.const(np.arange(rows)[None], np.float32)
        filled = graph.add("Less", place, graph.reshape(count, -1, 1))
        scores = graph.add("Where", filled, scores, graph.const(-1.0, np.float32))
    return from_object_list(graph, boxes, scores, labels, rows, spec)


def match_rows(raw: RawModel, name: str, score: int) -> Match | Mismatch:
    """One output [D, 7]: the image in the batch, a box xyxy in input pixels, and score and class in either order.

    `name` is how the output's name ends; `score` is the column of the score, 5 or 6.
    """
    if len(raw.outputs) != 1 or (raw.outputs[0].rank, raw.outputs[0].last) != (2, 7):
        return Mismatch("it needs one output [detections, 7]")
    return Match(
        None,
        functools.partial(_build_rows, raw.outputs[0].shape[0], score),
        # nothing but its name tells which of the last columns is the class
        sure=raw.outputs[0].name.endswith(name),
        one_image=True,
    )


def _build_rows(count: int | None, score: int, graph: GraphBuilder, tensors: tuple[str, ...], spec: HeadSpec) -> int:
    rows = graph.unsqueeze(tensors[0], 0)
    boxes, label = graph.slice(rows, 1, 5, 2), 11 - score
    return from_object_list(graph, boxes, graph.at(rows, score, 2), graph.at(rows, label, 2), count, spec)

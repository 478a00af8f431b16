"""YOLOv8 to YOLO12 as Ultralytics exports them: [B, 4 + C, N] or [B, N, 4 + C], centre and size in input pixels."""

from __future__ import annotations

import functools

from engines.graphs.builder import GraphBuilder
from engines.graphs.heads.base import LAYERS, Family, Match, RawModel, Wanted, best, pick
from engines.graphs.heads.dense import GRIDS, centred, class_of, is_decoded, only_dense
from engines.graphs.preprocess import InputGeometry
from engines.records import Fit


def _match(raw: RawModel) -> Match | None:
    output = only_dense(raw)
    if output is None:
        return None
    grids = {raw.cells(strides) for strides in GRIDS}
    _, rows, columns = output.shape
    index = raw.outputs.index(output)
    if columns in grids and rows is not None and rows > 4:
        return Match(rows - 4, functools.partial(_build, index, 2, columns))
    if rows not in grids or columns is None or columns <= 4:
        return None
    # the same shape as that of a YOLOX, which is not decoded, or is by an exponential
    decoded = is_decoded(output) and "Exp" not in output.tail
    if not decoded and not raw.likely(columns - 4):
        return None
    build = functools.partial(_build, index, 1, rows)
    return Match(columns - 4, build, sure=decoded or raw.operators.isdisjoint(LAYERS))


def _build(index: int, axis: int, cells: int, graph: GraphBuilder, tensors: tuple[str, ...], wanted: Wanted) -> int:
    """`axis` is that of the cells."""
    candidates = min(wanted.candidates, cells)
    data, width, across = tensors[index], 4 + wanted.labels, 3 - axis
    indices = best(graph, graph.reduce_max(graph.slice(data, 4, width, across), across), candidates)
    chosen = pick(graph, data, indices, width, axis)
    rows = graph.add("Transpose", chosen, perm=[0, 2, 1]) if axis == 2 else chosen
    centred(graph, graph.slice(rows, 0, 4, 2))
    class_of(graph, graph.slice(rows, 4, width, 2))
    return candidates


FAMILY = Family(
    name="yolov8",
    layout="one output [batch, 4 + classes, cells] or [batch, cells, 4 + classes], decoded (YOLOv8, 9, 11, 12)",
    geometry=InputGeometry(Fit.CENTRED, pad=114, rgb=True, std=(255.0, 255.0, 255.0)),
    nms=True,
    match=_match,
)

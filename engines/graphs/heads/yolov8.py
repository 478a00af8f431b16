"""YOLOv8 to YOLO12 as Ultralytics exports them: [B, 4 + C, N] or [B, N, 4 + C], centre and size in input pixels."""

from __future__ import annotations

import functools

from engines.graphs.builder import GraphBuilder
from engines.graphs.heads.base import LAYERS, Family, HeadSpec, Match, Mismatch, RawModel, gather_rows, top_k
from engines.graphs.heads.dense import (
    GRIDS,
    NO_SINGLE_OUTPUT,
    is_decoded,
    single_dense_output,
    write_labels,
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
    grids = {raw.cells(strides) for strides in GRIDS}
    _, rows, columns = output.shape
    index = raw.outputs.index(output)
    if columns in grids and rows is not None and rows > 4:
        return Match(rows - 4, functools.partial(_build, index, 2, columns))
    if rows not in grids or columns is None or columns <= 4:
        return Mismatch(f"{output.name} needs a column or a row for each of {raw.cells()} cells", 1)
    # YOLOX has the same shape, but is not decoded, or decoded with Exp
    decoded = is_decoded(output) and "Exp" not in output.tail
    if not decoded and not raw.expects(columns - 4):
        return Mismatch(f"the boxes of {output.name} are not decoded by the model", 2)
    build = functools.partial(_build, index, 1, rows)
    return Match(columns - 4, build, sure=decoded or raw.operators.isdisjoint(LAYERS))


def _build(index: int, axis: int, cells: int, graph: GraphBuilder, tensors: tuple[str, ...], spec: HeadSpec) -> int:
    """`axis` is the axis of the cells."""
    candidates = min(spec.max_candidates, cells)
    data, width, across = tensors[index], 4 + spec.label_count, 3 - axis
    indices = top_k(graph, graph.reduce_max(graph.slice(data, 4, width, across), across), candidates)
    chosen = gather_rows(graph, data, indices, width, axis)
    rows = graph.add("Transpose", chosen, perm=[0, 2, 1]) if axis == 2 else chosen
    xyxy_from_cxcywh(graph, graph.slice(rows, 0, 4, 2))
    write_labels(graph, graph.slice(rows, 4, width, 2))
    return candidates


FAMILY = Family(
    name="yolov8",
    layout="one output [batch, 4 + classes, cells] or [batch, cells, 4 + classes], decoded (YOLOv8, 9, 11, 12)",
    geometry=InputGeometry(Fit.CENTRED, pad=114, rgb=True, std=(255.0, 255.0, 255.0)),
    nms=True,
    match=_match,
    export="yolo export model=NAME.pt format=onnx",
)

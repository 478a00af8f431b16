"""YOLOv5, YOLOv7 and similar: [B, N, 5 + C] with N three times the cells, centre and size in input pixels."""

from __future__ import annotations

import functools

from engines.graphs.builder import GraphBuilder
from engines.graphs.heads.base import Family, HeadSpec, Match, Mismatch, RawModel
from engines.graphs.heads.dense import (
    GRIDS,
    NO_SINGLE_OUTPUT,
    is_decoded,
    single_dense_output,
    top_k_with_objectness,
    xyxy_from_cxcywh,
)
from engines.graphs.preprocess import InputGeometry
from engines.records import Fit

_ANCHORS = 3
"""per cell"""


def _match(raw: RawModel) -> Match | Mismatch:
    output = single_dense_output(raw)
    if output is None:
        return NO_SINGLE_OUTPUT
    if output.selects:
        return Mismatch(f"a row of {output.name} has one class, as an ArgMax or TopK before it tells", 1)
    if output.last is None or output.last < 6:
        return Mismatch(f"a row of {output.name} needs a box, an objectness and classes", 1)
    rows = output.shape[1]
    # YOLOv6 has the same rows, one per cell
    anchor_free = rows == raw.cells() and is_decoded(output) and "Exp" not in output.tail
    with_anchors = rows in {_ANCHORS * raw.cells(strides) for strides in GRIDS}
    if rows is None or not (anchor_free or with_anchors):
        wanted = f"{_ANCHORS * raw.cells()} or (YOLOv6, decoded) {raw.cells()}"
        return Mismatch(f"{output.name} needs {wanted} rows", 1)
    return Match(output.last - 5, functools.partial(_build, raw.outputs.index(output), rows))


def _build(index: int, rows: int, graph: GraphBuilder, tensors: tuple[str, ...], spec: HeadSpec) -> int:
    candidates = min(spec.max_candidates, rows)
    _, boxes = top_k_with_objectness(graph, tensors[index], spec.label_count, candidates)
    xyxy_from_cxcywh(graph, boxes)
    return candidates


FAMILY = Family(
    name="yolov5",
    layout="one output [batch, 3 x cells, 5 + classes], decoded (YOLOv5, YOLOv7; YOLOv6 with one row a cell)",
    geometry=InputGeometry(Fit.CENTRED, pad=114, rgb=True, std=(255.0, 255.0, 255.0)),
    nms=True,
    match=_match,
    export="python export.py --include onnx of YOLOv5, or --grid alone of YOLOv7",
)

"""YOLOv8 and YOLO11 as Ultralytics exports them: [B, 4 + C, N], centre and size in input pixels, scores sigmoided."""

from __future__ import annotations

from engines.graphs.builder import GraphBuilder
from engines.graphs.heads.base import Family, RawOutputs, best, class_of, corners, grid_cells, pick
from engines.graphs.preprocess import InputGeometry
from engines.records import Fit


def _classes(outputs: RawOutputs) -> int | None:
    if len(outputs.shapes) != 1 or len(outputs.shapes[0]) != 3:
        return None
    _, rows, cells = outputs.shapes[0]
    if cells != grid_cells(outputs.width, outputs.height) or rows is None or rows < 5:
        return None
    return rows - 4


def _build(graph: GraphBuilder, outputs: RawOutputs, classes: int, candidates: int) -> int:
    candidates = min(candidates, grid_cells(outputs.width, outputs.height))
    raw, rows = outputs.names[0], 4 + classes
    indices = best(graph, graph.reduce_max(graph.slice(raw, 4, rows, 1), 1), candidates)
    columns = graph.add("Transpose", pick(graph, raw, indices, 2, rows), perm=[0, 2, 1])
    corners(graph, graph.slice(columns, 0, 2, 2), graph.slice(columns, 2, 4, 2))
    class_of(graph, graph.slice(columns, 4, rows, 2))
    return candidates


FAMILY = Family(
    name="yolov8",
    layout="one output [batch, 4 + classes, cells], decoded (YOLOv8, YOLO11)",
    geometry=InputGeometry(Fit.CENTRED, pad=114, rgb=True, std=(255.0, 255.0, 255.0)),
    nms=True,
    candidates=1000,
    classes=_classes,
    build=_build,
)

"""RT-DETR, D-FINE and DEIM in their deploy form: labels and scores [B, N], boxes [B, N, 4] xyxy in image pixels.

Their input orig_target_sizes is always fed the size of the model's input.
"""

from __future__ import annotations

import functools

from engines.graphs.builder import GraphBuilder
from engines.graphs.heads.base import Family, HeadSpec, Match, Mismatch, RawModel, from_object_list
from engines.graphs.preprocess import InputGeometry
from engines.records import Fit


def _match(raw: RawModel) -> Match | Mismatch:
    if len(raw.outputs) != 3:
        return Mismatch("it needs three outputs: labels, boxes and scores")
    if not raw.takes_image_size:
        return Mismatch("it needs an input for the size of the picture", 1)
    boxes = [output for output in raw.outputs if output.rank == 3 and output.last == 4]
    lists = [output for output in raw.outputs if output.rank == 2]
    if len(boxes) != 1 or len(lists) != 2:
        return Mismatch("its outputs need to be labels [batch, N], boxes [batch, N, 4] and scores [batch, N]", 2)
    labels = [o for o in lists if o.is_integer] or [o for o in lists if "label" in o.name or "class" in o.name]
    if len(labels) != 1:
        return Mismatch("neither types nor names tell which output has the labels", 3)
    scores = lists[1 - lists.index(labels[0])]
    roles = tuple(raw.outputs.index(output) for output in (boxes[0], scores, labels[0]))
    return Match(None, functools.partial(_build, roles, boxes[0].shape[1]))


def _build(
    roles: tuple[int, ...], count: int | None, graph: GraphBuilder, tensors: tuple[str, ...], spec: HeadSpec
) -> int:
    boxes, scores, labels = (tensors[role] for role in roles)
    return from_object_list(graph, boxes, scores, labels, count, spec)


FAMILY = Family(
    name="detr",
    layout="outputs labels [batch, N], boxes [batch, N, 4] and scores [batch, N], with an input orig_target_sizes "
    "(RT-DETR, D-FINE, DEIM)",
    geometry=InputGeometry(Fit.STRETCH, pad=0, rgb=True, std=(255.0, 255.0, 255.0)),
    nms=False,
    match=_match,
    export="python tools/deployment/export_onnx.py of D-FINE or DEIM",
)

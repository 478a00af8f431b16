"""RT-DETR, D-FINE and DEIM in their deploy form: labels and scores [B, N], boxes [B, N, 4] xyxy in image pixels.

Their input orig_target_sizes is always fed the size of the model's input.
"""

from __future__ import annotations

import functools

from engines.graphs.builder import GraphBuilder
from engines.graphs.heads.base import Family, HeadSpec, Match, RawModel, from_object_list
from engines.graphs.preprocess import InputGeometry
from engines.records import Fit


def _match(raw: RawModel) -> Match | None:
    if len(raw.outputs) != 3 or not raw.takes_image_size:
        return None
    boxes = [output for output in raw.outputs if output.rank == 3 and output.last == 4]
    lists = [output for output in raw.outputs if output.rank == 2]
    if len(boxes) != 1 or len(lists) != 2:
        return None
    labels = [o for o in lists if o.is_integer] or [o for o in lists if "label" in o.name or "class" in o.name]
    if len(labels) != 1:
        return None
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
)

"""torchvision's detectors: boxes [N, 4] xyxy in input pixels, scores [N] and labels [N], which begin at 1."""

from __future__ import annotations

import functools

from engines.graphs.builder import GraphBuilder
from engines.graphs.heads.base import Family, HeadSpec, Match, Mismatch, RawModel, from_object_list
from engines.graphs.preprocess import InputGeometry
from engines.records import Fit


def _match(raw: RawModel) -> Match | Mismatch:
    boxes = [o for o in raw.outputs if (o.rank, o.last) == (2, 4)]
    labels = [o for o in raw.outputs if o.rank == 1 and o.is_integer]
    scores = [o for o in raw.outputs if o.rank == 1 and not o.is_integer]
    if len(raw.outputs) != 3 or [len(boxes), len(labels), len(scores)] != [1, 1, 1]:
        return Mismatch("it needs the outputs boxes [N, 4], labels [N] of integers and scores [N]")
    roles = tuple(raw.outputs.index(output) for output in (boxes[0], scores[0], labels[0]))
    build = functools.partial(_build, roles, boxes[0].shape[0])
    return Match(None, build, first_category=0, background=True, one_image=True)


def _build(
    roles: tuple[int, ...], count: int | None, graph: GraphBuilder, tensors: tuple[str, ...], spec: HeadSpec
) -> int:
    boxes, scores, labels = (graph.unsqueeze(tensors[role], 0) for role in roles)
    return from_object_list(graph, boxes, scores, labels, count, spec)


FAMILY = Family(
    name="torchvision",
    layout="outputs boxes [N, 4]: xyxy, labels [N] and scores [N] (torchvision)",
    geometry=InputGeometry(Fit.CENTRED, pad=0, rgb=True, std=(255.0, 255.0, 255.0)),
    nms=False,
    match=_match,
    export="torch.onnx.export of the model with one image [1, 3, height, width]",
)

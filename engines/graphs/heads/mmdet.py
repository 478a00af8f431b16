"""MMDetection with NMS inside: dets [B, N, 5], each a box xyxy in input pixels and its score, and labels [B, N]."""

from __future__ import annotations

import functools

from engines.graphs.builder import GraphBuilder
from engines.graphs.heads.base import IMAGENET_MEAN, IMAGENET_STD, Family, HeadSpec, Match, RawModel, from_object_list
from engines.graphs.preprocess import InputGeometry
from engines.records import Fit


def _match(raw: RawModel) -> Match | None:
    dets = [output for output in raw.outputs if output.rank in {2, 3} and output.last == 5]
    if len(dets) != 1 or len(raw.outputs) != 2:
        return None
    place = raw.outputs.index(dets[0])
    if raw.outputs[1 - place].rank != dets[0].rank - 1:
        return None
    return Match(None, functools.partial(_build, place, dets[0].rank == 2, dets[0].shape[-2]))


def _build(
    place: int, unbatched: bool, count: int | None, graph: GraphBuilder, tensors: tuple[str, ...], spec: HeadSpec
) -> int:
    """`unbatched` outputs have no batch dimension."""
    dets, labels = tensors[place], tensors[1 - place]
    if unbatched:
        dets, labels = graph.unsqueeze(dets, 0), graph.unsqueeze(labels, 0)
    return from_object_list(graph, graph.slice(dets, 0, 4, 2), graph.at(dets, 4, 2), labels, count, spec)


FAMILY = Family(
    name="mmdet",
    layout="outputs dets [batch, N, 5]: xyxy, score, and labels [batch, N] (MMDetection)",
    geometry=InputGeometry(Fit.TOP_LEFT, pad=0, rgb=True, mean=IMAGENET_MEAN, std=IMAGENET_STD),
    nms=False,
    match=_match,
)

"""MMDetection with NMS inside: dets [B, N, 5], each a box xyxy in input pixels and its score, and labels [B, N]."""

from __future__ import annotations

import functools

from engines.graphs.builder import GraphBuilder
from engines.graphs.heads.base import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Family,
    HeadSpec,
    Match,
    Mismatch,
    RawModel,
    from_object_list,
)
from engines.graphs.preprocess import InputGeometry
from engines.records import Fit


def _match(raw: RawModel) -> Match | Mismatch:
    dets = [output for output in raw.outputs if output.rank in {2, 3} and output.last == 5]
    if len(dets) != 1 or len(raw.outputs) != 2:
        return Mismatch("it needs two outputs: dets with five columns, and labels")
    place = raw.outputs.index(dets[0])
    if raw.outputs[1 - place].rank != dets[0].rank - 1:
        return Mismatch("it needs one label for each row of dets", 1)
    # of MMDetection's models, RTMDet alone has a HardSigmoid and no region proposals
    is_rtmdet = "HardSigmoid" in raw.operators and raw.operators.isdisjoint({"RoiAlign", "MMCVRoiAlign"})
    return Match(
        None,
        functools.partial(_build, place, dets[0].rank == 2, dets[0].shape[-2]),
        geometry=_RTMDET if is_rtmdet else None,
    )


def _build(
    place: int, unbatched: bool, count: int | None, graph: GraphBuilder, tensors: tuple[str, ...], spec: HeadSpec
) -> int:
    """`unbatched` outputs have no batch dimension."""
    dets, labels = tensors[place], tensors[1 - place]
    if unbatched:
        dets, labels = graph.unsqueeze(dets, 0), graph.unsqueeze(labels, 0)
    return from_object_list(graph, graph.slice(dets, 0, 4, 2), graph.at(dets, 4, 2), labels, count, spec)


_RTMDET = InputGeometry(Fit.TOP_LEFT, pad=114, rgb=False, mean=(103.53, 116.28, 123.675), std=(57.375, 57.12, 58.395))

FAMILY = Family(
    name="mmdet",
    layout="outputs dets [batch, N, 5]: xyxy, score, and labels [batch, N] (MMDetection)",
    geometry=InputGeometry(Fit.TOP_LEFT, pad=0, rgb=True, mean=IMAGENET_MEAN, std=IMAGENET_STD),
    nms=False,
    match=_match,
    export="python tools/deploy.py of MMDeploy with detection_onnxruntime_static.py",
)

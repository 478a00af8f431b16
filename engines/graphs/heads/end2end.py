"""NMS in the model, as EfficientNMS gives its results: num_dets, det_boxes, det_scores and det_classes."""

from __future__ import annotations

from engines.graphs.heads.base import Family, Match, Mismatch, RawModel
from engines.graphs.heads.counted import match_counted
from engines.graphs.preprocess import InputGeometry
from engines.records import Fit

_NAMES = ("num_dets", "det_boxes", "det_scores", "det_classes")


def _match(raw: RawModel) -> Match | Mismatch:
    return match_counted(raw, _NAMES)


FAMILY = Family(
    name="end2end",
    layout="outputs num_dets [batch, 1], det_boxes [batch, N, 4]: xyxy, det_scores and det_classes [batch, N] "
    "(YOLOv7 to v9 with NMS)",
    geometry=InputGeometry(Fit.CENTRED, pad=114, rgb=True, std=(255.0, 255.0, 255.0)),
    nms=False,
    match=_match,
    export="export without NMS, as raw outputs",
)

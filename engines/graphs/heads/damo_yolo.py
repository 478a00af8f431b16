"""DAMO-YOLO without NMS: scores [B, N, C] and boxes [B, N, 4] xyxy in input pixels."""

from __future__ import annotations

from dataclasses import replace

from engines.graphs.heads.base import Family, Match, Mismatch, RawModel
from engines.graphs.heads.boxes_scores import match_boxes_scores
from engines.graphs.preprocess import InputGeometry
from engines.records import Fit


def _match(raw: RawModel) -> Match | Mismatch:
    found = match_boxes_scores(raw, scores_last=False)
    # YOLO-NAS has the same outputs
    return replace(found, sure=False) if isinstance(found, Match) else found


FAMILY = Family(
    name="damo-yolo",
    layout="outputs scores [batch, cells, classes] and boxes [batch, cells, 4]: xyxy (DAMO-YOLO)",
    geometry=InputGeometry(Fit.TOP_LEFT, pad=0, rgb=True),
    nms=True,
    match=_match,
    export="python tools/converter.py of DAMO-YOLO without --end2end",
)

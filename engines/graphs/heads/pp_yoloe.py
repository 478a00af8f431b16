"""PP-YOLOE+ without NMS: boxes [B, N, 4] xyxy in input pixels and scores [B, C, N]."""

from __future__ import annotations

from engines.graphs.heads.base import Family, Match, Mismatch, RawModel
from engines.graphs.heads.boxes_scores import match_boxes_scores
from engines.graphs.preprocess import InputGeometry
from engines.records import Fit


def _match(raw: RawModel) -> Match | Mismatch:
    return match_boxes_scores(raw, scores_last=True)


FAMILY = Family(
    name="pp-yoloe",
    layout="outputs boxes [batch, cells, 4]: xyxy and scores [batch, classes, cells] (PP-YOLOE+)",
    geometry=InputGeometry(Fit.STRETCH, pad=0, rgb=True, std=(255.0, 255.0, 255.0)),
    nms=True,
    match=_match,
    export="python tools/export_model.py of PaddleDetection with exclude_nms=True, then paddle2onnx",
)

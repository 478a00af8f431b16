"""YOLOv7 with NMS (--end2end --max-wh): [D, 7], each row an image, a box xyxy in input pixels, class and score."""

from __future__ import annotations

from engines.graphs.heads.base import Family, Match, Mismatch, RawModel
from engines.graphs.heads.counted import match_rows
from engines.graphs.preprocess import InputGeometry
from engines.records import Fit

_SCORE = 6
"""column"""


def _match(raw: RawModel) -> Match | Mismatch:
    return match_rows(raw, "output", _SCORE)


FAMILY = Family(
    name="yolov7-rows",
    layout="one output [detections, 7]: image, xyxy, class, score (YOLOv7 with --end2end --max-wh)",
    geometry=InputGeometry(Fit.CENTRED, pad=114, rgb=True, std=(255.0, 255.0, 255.0)),
    nms=False,
    match=_match,
    export="python export.py --grid of YOLOv7",
)

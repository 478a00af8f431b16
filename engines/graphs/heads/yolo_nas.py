"""YOLO-NAS: boxes and scores of every cell, or what its own NMS leaves, in one output [D, 7] or in four."""

from __future__ import annotations

from dataclasses import replace

from engines.graphs.heads.base import Family, Match, Mismatch, RawModel
from engines.graphs.heads.boxes_scores import match_boxes_scores
from engines.graphs.heads.counted import match_counted, match_rows
from engines.graphs.preprocess import InputGeometry
from engines.records import Fit

_NAMES = ("num_predictions", "pred_boxes", "pred_scores", "pred_classes")
_SCORE = 5
"""column"""


def _match(raw: RawModel) -> Match | Mismatch:
    if len(raw.outputs) == 2:
        found = match_boxes_scores(raw, scores_last=False)
        # DAMO-YOLO has the same outputs
        found = replace(found, sure=False) if isinstance(found, Match) else found
    elif len(raw.outputs) == 1:
        found = match_rows(raw, "flat_predictions", _SCORE)
    else:
        found = match_counted(raw, _NAMES)
    if isinstance(found, Match) and raw.integer_input:  # its exporter puts the division by 255 into the model
        return replace(found, geometry=InputGeometry(Fit.CENTRED, pad=114, rgb=True))
    return found


FAMILY = Family(
    name="yolo-nas",
    layout="outputs boxes [batch, cells, 4]: xyxy and scores [batch, cells, classes]; "
    "or one [detections, 7]: image, xyxy, score, class; "
    "or num_predictions, pred_boxes, pred_scores, pred_classes (YOLO-NAS)",
    geometry=InputGeometry(Fit.CENTRED, pad=114, rgb=True, std=(255.0, 255.0, 255.0)),
    nms=True,
    match=_match,
    export="model.export() of super-gradients",
)

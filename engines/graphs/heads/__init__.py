"""One file a model family: raw outputs to canonical outputs."""

from __future__ import annotations

from engines.graphs.heads import (
    detr,
    detr_raw,
    fastestdet,
    mmdet,
    nanodet,
    picodet,
    ssd,
    yolov5,
    yolov8,
    yolov10,
    yolox,
)
from engines.graphs.heads.base import Family

_MODULES = (yolox, yolov5, yolov8, yolov10, detr, detr_raw, nanodet, picodet, fastestdet, ssd, mmdet)

FAMILIES: dict[str, Family] = {module.FAMILY.name: module.FAMILY for module in _MODULES}

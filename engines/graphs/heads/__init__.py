"""One file a model family: raw outputs to canonical outputs."""

from __future__ import annotations

from engines.graphs.heads import yolov8, yolox
from engines.graphs.heads.base import Family

FAMILIES: dict[str, Family] = {family.FAMILY.name: family.FAMILY for family in (yolox, yolov8)}

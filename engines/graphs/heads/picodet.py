"""PicoDet without post-processing: class scores and side logits for each of four levels."""

from __future__ import annotations

import functools

from engines.graphs.heads.base import FOUR_LEVELS, IMAGENET_MEAN, IMAGENET_STD, Family, Match, Mismatch, RawModel
from engines.graphs.heads.gfl import NO_LEVELS, build_levels, levels_of
from engines.graphs.preprocess import InputGeometry
from engines.records import Fit

_CELL_CENTRE = 0.5


def _match(raw: RawModel) -> Match | Mismatch:
    levels = levels_of(raw)
    if levels is None or levels.strides != FOUR_LEVELS:
        return NO_LEVELS
    if "LeakyRelu" in raw.operators:
        return Mismatch("its LeakyRelu is one of a NanoDet", 2)
    return Match(levels.classes, functools.partial(build_levels, raw, levels, _CELL_CENTRE))


FAMILY = Family(
    name="picodet",
    layout="for each of 4 levels an output [batch, cells, classes] and one [batch, cells, 4 x bins]",
    geometry=InputGeometry(Fit.STRETCH, pad=0, rgb=True, mean=IMAGENET_MEAN, std=IMAGENET_STD),
    nms=True,
    match=_match,
    export="python tools/export_model.py of PaddleDetection with export.benchmark=True, then paddle2onnx",
)

"""NanoDet and NanoDet-Plus: class scores and side logits per cell, in two outputs per level or all in one."""

from __future__ import annotations

import functools

from engines.graphs.builder import GraphBuilder
from engines.graphs.heads.base import (
    FOUR_LEVELS,
    IMAGENET_MEAN,
    IMAGENET_STD,
    THREE_LEVELS,
    Family,
    HeadSpec,
    Match,
    Mismatch,
    RawModel,
    Strides,
)
from engines.graphs.heads.dense import is_decoded, single_dense_output
from engines.graphs.heads.gfl import NO_LEVELS, SIDES, AnchorPoints, build, build_levels, levels_of
from engines.graphs.preprocess import InputGeometry
from engines.records import Fit


def _offset(strides: Strides) -> float:
    """The anchor point of a cell is its centre, in NanoDet-Plus (four levels) its corner."""
    return 0.0 if strides == FOUR_LEVELS else 0.5


def _match(raw: RawModel) -> Match | Mismatch:
    levels = levels_of(raw)
    if levels is not None:
        if not raw.operators.isdisjoint({"HardSigmoid", "HardSwish"}) and levels.strides == FOUR_LEVELS:
            return Mismatch("its HardSigmoid or HardSwish is one of a PicoDet", 2)
        return Match(levels.classes, functools.partial(build_levels, raw, levels, _offset(levels.strides)))
    output = single_dense_output(raw)
    if output is None or output.last is None:
        return NO_LEVELS
    if is_decoded(output):
        return Mismatch(f"the boxes of {output.name} are decoded by the model", 1)
    strides = next((s for s in (THREE_LEVELS, FOUR_LEVELS) if output.shape[1] == raw.cells(s)), None)
    classes = _classes(raw, output.last)
    if strides is None or classes < 1:
        return Mismatch(f"{output.name} needs {raw.cells()} rows, one per cell, of classes and sides of boxes", 1)
    points = AnchorPoints(raw, strides, _offset(strides), output.last - classes)
    return Match(classes, functools.partial(_build, raw.outputs.index(output), classes, points))


def _classes(raw: RawModel, columns: int) -> int:
    """How many of the columns are classes; the rest are sides, as the class names suggest, else as in NanoDet-m."""
    return columns - next((sides for sides in SIDES if raw.expects(columns - sides)), SIDES[0])


def _build(
    index: int, classes: int, points: AnchorPoints, graph: GraphBuilder, tensors: tuple[str, ...], spec: HeadSpec
) -> int:
    rows = tensors[index]
    scores = graph.slice(rows, 0, classes, 2)
    return build(graph, scores, graph.slice(rows, classes, classes + points.width, 2), points, spec)


FAMILY = Family(
    name="nanodet",
    layout="for each of 3 or 4 levels an output [batch, cells, classes] and one [batch, cells, 4 x bins], "
    "or all in one output [batch, cells, classes + 4 x bins]",
    geometry=InputGeometry(Fit.CENTRED, pad=0, rgb=False, mean=IMAGENET_MEAN[::-1], std=IMAGENET_STD[::-1]),
    nms=True,
    match=_match,
    export="python tools/export_onnx.py of NanoDet",
)

"""SSD of the TensorFlow Object Detection API: boxes [B, N, 4] yxyx from 0 to 1, classes, scores, count.

The model contains NMS. Classes are COCO's category ids minus one, as in TensorFlow Lite; `detection_classes` of other
exports of the API starts at 1.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from engines.graphs.builder import GraphBuilder
from engines.graphs.heads.base import Family, HeadSpec, Match, Mismatch, RawModel, from_object_list, input_pixels
from engines.graphs.preprocess import InputGeometry
from engines.records import Fit

_LITE = "TFLite_Detection_PostProcess"
_NAMES = (
    # boxes, classes, scores, count
    (_LITE, f"{_LITE}:1", f"{_LITE}:2", f"{_LITE}:3"),
    ("detection_boxes", "detection_classes", "detection_scores", "num_detections"),
)
_ORDERS = ((0, 1, 2, 3), (1, 3, 0, 2))
"""of TensorFlow 1 and 2"""


@dataclass(frozen=True, slots=True)
class _Outputs:
    boxes: int
    """index; the others too"""
    classes: int
    scores: int
    count: int
    from_one: bool
    """whether the first class is 1"""


def _match(raw: RawModel) -> Match | Mismatch:
    outputs = _by_name(raw) or _by_order(raw)
    if outputs is None:
        return Mismatch("it needs outputs for boxes, classes, scores and their count, with the names of the API")
    boxes = raw.outputs[outputs.boxes]
    if (boxes.rank, boxes.last) != (3, 4):
        return Mismatch(f"{boxes.name} needs four columns", 2)
    return Match(
        classes=None,
        build=functools.partial(_build, raw, outputs, boxes.shape[1]),
        first_category=1,
        geometry=None if raw.integer_input else _FLOAT,
    )


def _by_name(raw: RawModel) -> _Outputs | None:
    names = [output.name.removesuffix(":0") for output in raw.outputs]
    for style in _NAMES:
        if set(style) <= set(names):
            boxes, classes, scores, count = map(names.index, style)
            return _Outputs(boxes, classes, scores, count, from_one=style[1] == "detection_classes")
    return None


def _by_order(raw: RawModel) -> _Outputs | None:
    """Four outputs with other names, of a model whose input is not planar."""
    if raw.planar or len(raw.outputs) != 4:
        return None
    for order in _ORDERS:
        boxes, classes, scores, count = (raw.outputs[index] for index in order)
        if boxes.rank == 3 and classes.rank == scores.rank == 2 and count.rank <= 1:
            return _Outputs(*order, from_one=False)
    return None


def _build(
    raw: RawModel, outputs: _Outputs, count: int | None, graph: GraphBuilder, tensors: tuple[str, ...], spec: HeadSpec
) -> int:
    xyxy = graph.add("Gather", tensors[outputs.boxes], graph.const([1, 0, 3, 2]), axis=2)
    boxes = graph.add("Mul", xyxy, input_pixels(graph, raw))
    scores, labels = tensors[outputs.scores], tensors[outputs.classes]
    if outputs.from_one:
        labels = graph.add("Sub", labels, graph.const(1.0, np.float32))
    if count is not None:
        place = graph.const(np.arange(count)[None], np.float32)
        filled = graph.add("Less", place, graph.reshape(tensors[outputs.count], -1, 1))
        scores = graph.add("Where", filled, scores, graph.const(-1.0, np.float32))
    return from_object_list(graph, boxes, scores, labels, count, spec)


_FLOAT = InputGeometry(Fit.STRETCH, pad=0, rgb=True, mean=(127.5, 127.5, 127.5), std=(127.5, 127.5, 127.5))

FAMILY = Family(
    name="ssd",
    layout="outputs boxes [batch, N, 4] yxyx from 0 to 1, classes [batch, N], scores [batch, N] and count [batch] "
    "(TensorFlow Object Detection API)",
    geometry=InputGeometry(Fit.STRETCH, pad=0, rgb=True),
    nms=False,
    match=_match,
    export="python -m tf2onnx.convert --tflite NAME.tflite --opset 13",
)

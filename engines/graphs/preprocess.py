"""uint8 BGR frames to a model's input, as ONNX: letterbox (resize and pad), then colour order, scale and layout.

The preprocess graph does both. The CPU backend letterboxes with OpenCV instead, which is several times faster than
ONNX Runtime's Resize and agrees with the graph within half a grey level, and runs `normalise` as part of the
detector (docs/decisions/0002).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper

from engines.graphs.builder import GraphBuilder
from engines.records import Fit

FRAMES = "frames"
"""name of the uint8 input [B, H, W, 3]"""
IMAGES = "images"
"""name of what the preprocess graph writes and the canonical detector reads"""
_OPSET = 17


@dataclass(frozen=True, slots=True)
class InputGeometry:
    """What a model wants to be fed: value = (pixel - mean) / std, planar."""

    fit: Fit
    pad: int
    """grey level of the padding, 0 to 255"""
    rgb: bool
    """False: BGR"""
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """grey levels, in the model's colour order"""
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """grey levels, in the model's colour order"""


def normalise(graph: GraphBuilder, pixels: str, geometry: InputGeometry, dtype: int, output: str) -> None:
    """Appends: BGR [B, H, W, 3] of any numeric type, 0 to 255, to `output` [B, 3, H, W] of type `dtype`."""
    planar = graph.add("Transpose", pixels, perm=[0, 3, 1, 2])
    if geometry.rgb:
        planar = graph.add("Gather", planar, graph.const([2, 1, 0]), axis=1)
    steps = []
    if any(geometry.mean):
        steps.append(("Sub", np.reshape(geometry.mean, (1, 3, 1, 1))))
    if geometry.std != (1.0, 1.0, 1.0):
        # a product by the reciprocal: division is several times slower on a CPU
        steps.append(("Mul", np.reshape(1.0 / np.asarray(geometry.std), (1, 3, 1, 1))))
    value = graph.cast(planar, TensorProto.FLOAT)
    for op, operand in steps:
        value = graph.add(op, value, graph.const(operand, np.float32))
    graph.cast(value, dtype, output=output)


def letterbox(graph: GraphBuilder, frames: str, geometry: InputGeometry, width: int, height: int) -> str:
    """Appends: uint8 frames [B, h, w, 3] of one size to float32 [B, height, width, 3]; see records.Letterbox."""
    shape = graph.add("Shape", frames)
    batch, h, w = (graph.slice(shape, axis, axis + 1, 0) for axis in range(3))
    full_height, full_width = graph.const([height]), graph.const([width])
    three = graph.const([3])
    pixels = graph.cast(frames, TensorProto.FLOAT)
    if geometry.fit is Fit.STRETCH:
        sizes = graph.add("Concat", batch, full_height, full_width, three, axis=0)
        return _resize(graph, pixels, sizes)
    new_width = graph.add("Min", full_width, _rounded_ratio(graph, w, height, h))
    new_height = graph.add("Min", full_height, _rounded_ratio(graph, h, width, w))
    resized = _resize(graph, pixels, graph.add("Concat", batch, new_height, new_width, three, axis=0))
    spare_width = graph.add("Sub", full_width, new_width)
    spare_height = graph.add("Sub", full_height, new_height)
    zero = graph.const([0])
    left = top = zero
    if geometry.fit is Fit.CENTRED:
        left = graph.add("Div", spare_width, graph.const([2]))
        top = graph.add("Div", spare_height, graph.const([2]))
    right = graph.add("Sub", spare_width, left)
    bottom = graph.add("Sub", spare_height, top)
    pads = graph.add("Concat", zero, top, left, zero, zero, bottom, right, zero, axis=0)
    return graph.add("Pad", resized, pads, graph.const(geometry.pad, np.float32))


def preprocess_model(geometry: InputGeometry, width: int, height: int) -> onnx.ModelProto:
    """The preprocess graph: `frames` uint8 [B, h, w, 3] of any one size to `images` float32 [B, 3, height, width]."""
    frames = helper.make_tensor_value_info(FRAMES, TensorProto.UINT8, ["batch", "height", "width", 3])
    images = helper.make_tensor_value_info(IMAGES, TensorProto.FLOAT, ["batch", 3, height, width])
    graph = helper.make_graph([], "preprocess", [frames], [images])
    builder = GraphBuilder(graph, _OPSET, "preprocess")
    normalise(builder, letterbox(builder, FRAMES, geometry, width, height), geometry, TensorProto.FLOAT, IMAGES)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def _resize(graph: GraphBuilder, pixels: str, sizes: str) -> str:
    return graph.add("Resize", pixels, "", "", sizes, mode="linear", coordinate_transformation_mode="half_pixel")


def _rounded_ratio(graph: GraphBuilder, a: str, factor: int, b: str) -> str:
    """max(1, round(a * factor / b)), halves up, in integers."""
    doubled = graph.add("Add", graph.add("Mul", a, graph.const([2 * factor])), b)
    return graph.add("Max", graph.add("Div", doubled, graph.add("Mul", b, graph.const([2]))), graph.const([1]))

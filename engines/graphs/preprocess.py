"""uint8 BGR frames to a model's input, as ONNX: letterbox (resize and pad), then colour order, scale and layout.

The preprocess graph does both. The CPU backend letterboxes with OpenCV instead, which is several times faster than
ONNX Runtime's Resize and agrees with the graph within half a pixel value, and runs `normalise` as part of the
detector (docs/decisions/0002).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import onnx
from onnx import TensorProto, helper

from engines.graphs.builder import GraphBuilder
from engines.records import Fit, InputOverride

FRAMES = "frames"
"""name of the uint8 input [B, H, W, 3]"""
IMAGES = "images"
"""name of the preprocess graph's output and the canonical detector's input"""
OPSET = 17
"""of the preprocess graphs"""

Size: TypeAlias = tuple[str, str]
"""names of the height and the width of a picture, [1] each"""


@dataclass(frozen=True, slots=True)
class InputGeometry:
    """How an image is made into a model's input: value = (pixel - mean) / std."""

    fit: Fit
    pad: int
    """pixel value of the padding, 0 to 255"""
    rgb: bool
    """False: BGR"""
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    """three pixel values, in the model's colour order"""
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    """three pixel values, in the model's colour order"""

    def overridden(self, by: InputOverride) -> InputGeometry:
        """A copy with the values that `by` sets."""
        mean, std = self.mean, self.std
        if (by.scale, by.mean, by.std) != (None, None, None):
            scale = by.scale or 1.0
            mean, std = (tuple(v / scale for v in given) for given in (by.mean or (0.0,) * 3, by.std or (1.0,) * 3))
        return InputGeometry(
            fit=self.fit if by.fit is None else by.fit,
            pad=self.pad if by.pad is None else by.pad,
            rgb=self.rgb if by.rgb is None else by.rgb,
            mean=mean,
            std=std,
        )


def normalise(
    graph: GraphBuilder, pixels: str, geometry: InputGeometry, dtype: int, output: str, planar: bool = True
) -> None:
    """Appends: BGR [B, H, W, 3] of any numeric type, 0 to 255, to `output` of type `dtype`.

    `output` is [B, 3, H, W], or [B, H, W, 3] where it is not planar.
    """
    value, axis, shape = pixels, 3, (1, 1, 1, 3)
    if planar:
        value, axis, shape = graph.add("Transpose", pixels, perm=[0, 3, 1, 2]), 1, (1, 3, 1, 1)
    if geometry.rgb:
        value = graph.add("Gather", value, graph.const([2, 1, 0]), axis=axis)
    steps = []
    if any(geometry.mean):
        steps.append(("Sub", np.reshape(geometry.mean, shape)))
    if geometry.std != (1.0, 1.0, 1.0):
        # multiply by the reciprocal: division is several times slower on a CPU
        steps.append(("Mul", np.reshape(1.0 / np.asarray(geometry.std), shape)))
    if steps:
        value = graph.cast(value, TensorProto.FLOAT)
    for op, operand in steps:
        value = graph.add(op, value, graph.const(operand, np.float32))
    graph.cast(value, dtype, output=output)


def letterbox(graph: GraphBuilder, frames: str, geometry: InputGeometry, width: int, height: int) -> str:
    """Appends: uint8 frames [B, h, w, 3] of one size to float32 [B, height, width, 3]; see records.Letterbox."""
    shape = graph.add("Shape", frames)
    batch, h, w = (graph.slice(shape, axis, axis + 1, 0) for axis in range(3))
    full = graph.const([height]), graph.const([width])
    three = graph.const([3])
    pixels = graph.cast(frames, TensorProto.FLOAT)
    new = resized_size(graph, (h, w), full, geometry, (height, width))
    resized = resize(graph, pixels, graph.add("Concat", batch, *new, three, axis=0))
    return padded(graph, resized, new, full, geometry)


def resized_size(graph: GraphBuilder, source: Size, full: Size, geometry: InputGeometry, size: tuple[int, int]) -> Size:
    """How large a picture becomes in an input `full`, which has the height and width `size`; see records.Letterbox."""
    if geometry.fit is Fit.STRETCH:
        return full
    (h, w), (full_height, full_width), (height, width) = source, full, size
    new_width = graph.add("Min", full_width, _rounded_ratio(graph, w, height, h))
    new_height = graph.add("Min", full_height, _rounded_ratio(graph, h, width, w))
    return new_height, new_width


def padded(graph: GraphBuilder, resized: str, new: Size, full: Size, geometry: InputGeometry) -> str:
    """Appends: a picture [B, *new, 3] in its place in [B, *full, 3]."""
    if geometry.fit is Fit.STRETCH:
        return resized
    (new_height, new_width), (full_height, full_width) = new, full
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


def resize(graph: GraphBuilder, pixels: str, sizes: str) -> str:
    """Appends: pixels between those around them; `sizes` are those of every dimension."""
    return graph.add("Resize", pixels, "", "", sizes, mode="linear", coordinate_transformation_mode="half_pixel")


def preprocess_model(
    geometry: InputGeometry, width: int, height: int, dtype: int = TensorProto.FLOAT, planar: bool = True
) -> onnx.ModelProto:
    """The preprocess graph: `frames` uint8 [B, h, w, 3] of any one size to `images`.

    `images` is of type `dtype` (an onnx.TensorProto.DataType), [B, 3, height, width], or [B, height, width, 3] where
    it is not planar.
    """
    frames = helper.make_tensor_value_info(FRAMES, TensorProto.UINT8, ["batch", "height", "width", 3])
    shape: list[int | str] = ["batch", 3, height, width] if planar else ["batch", height, width, 3]
    graph = helper.make_graph([], "preprocess", [frames], [helper.make_tensor_value_info(IMAGES, dtype, shape)])
    builder = GraphBuilder(graph, OPSET, "preprocess")
    pixels = letterbox(builder, FRAMES, geometry, width, height)
    return finished(builder, graph, pixels, geometry, dtype, planar)


def finished(
    builder: GraphBuilder, graph: onnx.GraphProto, pixels: str, geometry: InputGeometry, dtype: int, planar: bool
) -> onnx.ModelProto:
    """The model whose `graph` ends with letterboxed BGR `pixels`: they are normalised to its output."""
    if dtype == TensorProto.UINT8:
        pixels = builder.add("Round", pixels)  # a cast truncates
    normalise(builder, pixels, geometry, dtype, IMAGES, planar)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def _rounded_ratio(graph: GraphBuilder, a: str, factor: int, b: str) -> str:
    """max(1, round(a * factor / b)), halves to even, in integers, as in records.Letterbox."""
    one, two = graph.const([1]), graph.const([2])
    doubled = graph.add("Add", graph.add("Mul", a, graph.const([2 * factor])), b)
    divisor = graph.add("Mul", b, two)
    ratio = graph.add("Div", doubled, divisor)
    rest = graph.add("Sub", doubled, graph.add("Mul", ratio, divisor))
    # without comparisons, which not every TensorRT supports in shape computations
    is_half = graph.add("Sub", one, graph.add("Min", rest, one))
    is_odd = graph.add("Sub", ratio, graph.add("Mul", graph.add("Div", ratio, two), two))
    return graph.add("Max", graph.add("Sub", ratio, graph.add("Mul", is_half, is_odd)), one)

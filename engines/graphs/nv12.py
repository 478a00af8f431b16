"""NV12 of a decoder to a model's input, as ONNX: what the preprocess graph does with BGR, without making BGR of it all.

Luma and chroma are resized each on their own, so that colours are computed at the model's resolution. Chroma lies
between the pixels of its square, as in JPEG. Of a picture of odd size its last half column and row are resized with
the rest, which moves chroma by half a pixel at most.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from engines.graphs.builder import GraphBuilder
from engines.graphs.preprocess import IMAGES, OPSET, InputGeometry, finished, padded, resize, resized_size
from engines.pictures import ColourMatrix, bgr_of_yuv

LUMA = "luma"
"""name of the uint8 input [1, height, pitch, 1]"""
CHROMA = "chroma"
"""name of the uint8 input [1, ceil(height / 2), pitch / 2, 2]"""
WIDTH = "width"
"""name of the int64 input [1]: the pixels of a row; what follows them up to the pitch is not used"""
COLOURS = "colours"
"""name of the float32 input [4, 3]: what Y, U, V and 1 add to B, G and R"""


def colours(matrix: ColourMatrix, full_range: bool) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """The input COLOURS of a picture."""
    return np.ascontiguousarray(bgr_of_yuv(matrix, full_range).T)


def nv12_model(
    geometry: InputGeometry, width: int, height: int, dtype: int = TensorProto.FLOAT, planar: bool = True
) -> onnx.ModelProto:
    """The preprocess graph of one picture; its output is that of preprocess.preprocess_model, with a batch of 1."""
    inputs = [
        helper.make_tensor_value_info(LUMA, TensorProto.UINT8, [1, "height", "pitch", 1]),
        helper.make_tensor_value_info(CHROMA, TensorProto.UINT8, [1, "chroma_height", "chroma_pitch", 2]),
        helper.make_tensor_value_info(WIDTH, TensorProto.INT64, [1]),
        helper.make_tensor_value_info(COLOURS, TensorProto.FLOAT, [4, 3]),
    ]
    shape = [1, 3, height, width] if planar else [1, height, width, 3]
    graph = helper.make_graph([], "nv12", inputs, [helper.make_tensor_value_info(IMAGES, dtype, shape)])
    builder = GraphBuilder(graph, OPSET, "nv12")
    pixels = _letterbox(builder, geometry, width, height)
    return finished(builder, graph, pixels, geometry, dtype, planar)


def _letterbox(graph: GraphBuilder, geometry: InputGeometry, width: int, height: int) -> str:
    """Appends: BGR float32 [1, height, width, 3], letterboxed."""
    source = graph.slice(graph.add("Shape", LUMA), 1, 2, 0), WIDTH
    full = graph.const([height]), graph.const([width])
    new = resized_size(graph, source, full, geometry, (height, width))
    one, two = graph.const([1]), graph.const([2])
    pairs = graph.add("Div", graph.add("Add", WIDTH, one), two)
    planes = []
    for name, columns, channels in ((LUMA, WIDTH, one), (CHROMA, pairs, two)):
        visible = graph.add("Slice", graph.as_float(name), graph.const([0]), columns, two)
        planes.append(resize(graph, visible, graph.add("Concat", one, *new, channels, axis=0)))
    yuv = graph.add("Concat", *planes, axis=3)
    bgr = graph.add("MatMul", yuv, graph.slice(COLOURS, 0, 3, 0))
    bgr = graph.add("Add", bgr, graph.at(COLOURS, 3, 0))
    clipped = graph.add("Clip", bgr, graph.const(0, np.float32), graph.const(255, np.float32))
    return padded(graph, clipped, new, full, geometry)

"""Describes a model's outputs: their shapes, also where the file leaves them open, and the operators before them."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper

from engines.graphs.heads.base import LAYERS, RawOutput
from engines.graphs.onnx_file import ImageInput, shape_of
from engines.session_options import FATAL, session_options

_FIRST_IS_DATA = frozenset(
    {"Expand", "Gather", "GatherElements", "GatherND", "Pad", "Reshape", "Resize", "Slice", "Split", "Squeeze", "Tile"}
    | {"TopK", "Transpose", "Unsqueeze"}
)
"""operators of which only the first input is data; the others are shapes, indices or limits"""
DATA_DEPENDENT = frozenset({"Compress", "If", "Loop", "NonMaxSuppression", "NonZero", "Scan", "Unique"})
"""operators whose output size depends on the image"""
_INTEGERS = frozenset({TensorProto.INT32, TensorProto.INT64})


def raw_outputs(proto: onnx.ModelProto, image: ImageInput) -> tuple[RawOutput, ...]:
    """The outputs of a model whose only input is `image`."""
    declared = tuple(shape_of(output) for output in proto.graph.output)
    shapes = declared
    # a dynamic batch is wanted; no dimensions at all means that the file does not state them
    if any(not shape or None in shape[1:] for shape in declared):
        counts = not DATA_DEPENDENT.isdisjoint(node.op_type for node in proto.graph.node)
        pairs = zip(declared, _found(proto, image), strict=True)
        shapes = tuple(_filled_in(stated, found, counts) for stated, found in pairs)
    return tuple(
        RawOutput(
            name=output.name,
            shape=shape,
            is_integer=output.type.tensor_type.elem_type in _INTEGERS,
            tail=_tail(proto.graph, output.name),
        )
        for output, shape in zip(proto.graph.output, shapes, strict=True)
    )


def _found(proto: onnx.ModelProto, image: ImageInput) -> list[tuple[int, ...] | None]:
    """The shapes of the outputs for one image; None if the model does not run, which opening a session reports."""
    shape = [size or 1 for size in shape_of(image.value)]
    grey = np.full(shape, 114, helper.tensor_dtype_to_np_dtype(image.dtype))
    options = session_options(FATAL)  # opening a session reports what goes wrong here
    try:
        session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
        outputs: list[NDArray[np.float32]] = session.run(None, {image.name: grey})
    except Exception:  # ONNX Runtime's errors share no public base class
        return [None] * len(proto.graph.output)
    return [output.shape for output in outputs]


def _filled_in(declared: tuple[int | None, ...], found: tuple[int, ...] | None, counts: bool) -> tuple[int | None, ...]:
    """The declared shape with its open dimensions as found, where they are the same for every image."""
    if found is None or (declared and len(declared) != len(found)):
        return declared
    filled = list(declared or (None,) * len(found))
    for axis, size in enumerate(found):
        is_batch = axis == 0 and size == 1
        is_columns = axis == len(found) - 1 and len(found) >= 3
        if filled[axis] is None and not is_batch and (is_columns or not counts):
            filled[axis] = size
    return tuple(filled)


def _tail(graph: onnx.GraphProto, output: str) -> frozenset[str]:
    """Types of the operators between the last convolutions or matrix products and an output."""
    makers = {name: node for node in graph.node for name in node.output}
    operators, seen, waiting = set(), set(), [output]
    while waiting:
        node = makers.get(waiting.pop())
        if node is None or node.op_type in LAYERS or node.output[0] in seen:
            continue
        seen.add(node.output[0])
        operators.add(node.op_type)
        waiting.extend(node.input[:1] if node.op_type in _FIRST_IS_DATA else node.input)
    return frozenset(operators)

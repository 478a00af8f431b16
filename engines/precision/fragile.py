"""Which nodes compute in float32 at every precision, and which layers are never quantized."""

from __future__ import annotations

import math

from onnx import NodeProto

from engines.precision.quantize import channel_axis
from engines.precision.wiring import Wiring, captures

_FRAGILE = frozenset(
    {
        # sums of many terms, and differences of nearly equal ones
        *("ReduceMean", "ReduceSum", "ReduceSumSquare", "ReduceL1", "ReduceL2", "ReduceLogSumExp", "CumSum"),
        *("LayerNormalization", "InstanceNormalization", "GroupNormalization", "LpNormalization", "RMSNormalization"),
        # steep, or beyond 65504 soon
        *("Exp", "Log", "Pow", "Sqrt", "Reciprocal", "Softmax", "LogSoftmax", "ReduceLogSum"),
        # angles, positions, and the order of candidates
        *("Sin", "Cos", "Range", "GridSample", "TopK", "NonMaxSuppression"),
    }
)
_EXACT_INPUTS = {"GridSample": (1,), "TopK": (0,), "NonMaxSuppression": (0, 1), "Resize": (1, 2)}
"""by operator the inputs where float16 would move a sample, change an order or miss a size by one"""
_FEWEST_PRODUCTS = 32
"""that a value is the sum of, in a layer worth quantizing"""


def float32_nodes(wiring: Wiring) -> frozenset[int]:
    """The nodes that float16 would make visibly worse, and whatever lies between two of them without a layer.

    From the last layers to the outputs there are pixel coordinates, which float16 rounds to half a pixel from 512 on.
    """
    fragile = {index for index, node in enumerate(wiring.nodes) if _is_fragile(node)}
    exact = wiring.upstream(_exact(wiring)) - wiring.layers
    kept = exact | fragile
    between = (wiring.downstream(kept) & wiring.upstream(kept)) - wiring.layers
    return kept | between


def quantizable_layers(wiring: Wiring) -> tuple[int, ...]:
    """The layers with constant weights, but for the last ones and for those that sum few products.

    What leaves the last layers becomes boxes, scores and positions, and nothing behind them evens out its error. Few
    products, 9 in a depthwise convolution, are too few for their errors to cancel.
    """
    last = wiring.upstream(_exact(wiring))
    return tuple(index for index in sorted(wiring.layers - last) if _products(wiring, index) >= _FEWEST_PRODUCTS)


def _exact(wiring: Wiring) -> frozenset[int]:
    """The nodes whose results have to be exact."""
    names = [output.name for output in wiring.model.graph.output]
    for node in wiring.nodes:
        names += [node.input[i] for i in _EXACT_INPUTS.get(node.op_type, ()) if i < len(node.input)]
        names += captures(node)
        if node.op_type == "Cast" and not wiring.is_float(node.output[0]):  # a size or an index
            names += node.input
    return wiring.writers(names)


def _is_fragile(node: NodeProto) -> bool:
    """Graphs inside a node count as well, so that their types may stay as they are."""
    return node.op_type in _FRAGILE or any(a.HasField("g") for a in node.attribute)


def _products(wiring: Wiring, index: int) -> int:
    """How many products with constant weights a value that leaves the layer is the sum of."""
    node = wiring.nodes[index]
    data, weights = node.input[:2]
    if data in wiring.constants or weights not in wiring.constants:
        return 0
    shape = wiring.constants[weights].dims
    if node.op_type == "Conv":
        return math.prod(shape[1:])
    if node.op_type == "ConvTranspose":
        in_groups = any(attribute.name == "group" and attribute.i > 1 for attribute in node.attribute)
        return 0 if in_groups else int(shape[0])
    return int(shape[1 - channel_axis(node)]) if len(shape) == 2 else 0

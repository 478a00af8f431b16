"""Which nodes stay in float32 at every precision, and which layers are never quantized."""

from __future__ import annotations

import math

from onnx import NodeProto

from engines.graphs.onnx_file import subgraph_inputs
from engines.precision.graph_index import GraphIndex
from engines.precision.quantize import channel_axis

_SENSITIVE = frozenset(
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
"""inputs, by operator, whose rounding to float16 would move a sample, change an order or change a size by one"""
_FEWEST_PRODUCTS = 32
"""per output value, of a layer that is worth quantizing"""


def float32_nodes(graph: GraphIndex) -> frozenset[int]:
    """The nodes that lose visible accuracy in float16, and the nodes between two of them if no layer separates them.

    After the last layers come pixel coordinates, which float16 rounds to half a pixel from 512 on.
    """
    sensitive = {index for index, node in enumerate(graph.nodes) if _is_sensitive(node)}
    exact = graph.upstream(_exact(graph)) - graph.layers
    kept = exact | sensitive
    between = (graph.downstream(kept) & graph.upstream(kept)) - graph.layers
    return kept | between


def quantizable_layers(graph: GraphIndex) -> tuple[int, ...]:
    """The layers with constant weights, without the last layers and those with few products per output value.

    The last layers compute boxes, scores and positions, and no later layer averages their errors. In sums of few
    products, such as the 9 of a depthwise convolution, rounding errors do not cancel.
    """
    last = graph.upstream(_exact(graph))
    return tuple(index for index in sorted(graph.layers - last) if _products(graph, index) >= _FEWEST_PRODUCTS)


def _exact(graph: GraphIndex) -> frozenset[int]:
    """The nodes whose outputs must be exact."""
    names = [output.name for output in graph.model.graph.output]
    for node in graph.nodes:
        names += [node.input[i] for i in _EXACT_INPUTS.get(node.op_type, ()) if i < len(node.input)]
        names += subgraph_inputs(node)
        if node.op_type == "Cast" and not graph.is_float(node.output[0]):  # a size or an index
            names += node.input
    return graph.writers(names)


def _is_sensitive(node: NodeProto) -> bool:
    """Whether a node stays in float32; nodes with subgraphs do, so that the types inside need no change."""
    return node.op_type in _SENSITIVE or any(a.HasField("g") for a in node.attribute)


def _products(graph: GraphIndex, index: int) -> int:
    """How many products with constant weights are summed for one output value of a layer."""
    node = graph.nodes[index]
    data, weights = node.input[:2]
    if data in graph.constants or weights not in graph.constants:
        return 0
    shape = graph.constants[weights].dims
    if node.op_type == "Conv":
        return math.prod(shape[1:])
    if node.op_type == "ConvTranspose":
        in_groups = any(attribute.name == "group" and attribute.i > 1 for attribute in node.attribute)
        return 0 if in_groups else int(shape[0])
    return int(shape[1 - channel_axis(node)]) if len(shape) == 2 else 0

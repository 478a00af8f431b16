"""Steps for grid detectors with decoded boxes and class scores in two outputs, before NMS."""

from __future__ import annotations

import functools

from engines.graphs.builder import GraphBuilder
from engines.graphs.heads.base import CANONICAL, HeadSpec, Match, Mismatch, RawModel, gather_rows, top_k
from engines.graphs.heads.dense import GRIDS, write_labels


def match_boxes_scores(raw: RawModel, scores_last: bool) -> Match | Mismatch:
    """Outputs boxes [B, N, 4] xyxy in input pixels and sigmoided scores [B, N, C], or [B, C, N] if `scores_last`."""
    grids = {raw.cells(strides) for strides in GRIDS}
    if len(raw.outputs) != 2 or any(output.rank != 3 for output in raw.outputs):
        return Mismatch("it needs two outputs of three dimensions: boxes and scores")
    boxes = [o for o in raw.outputs if o.last == 4 and o.shape[1] in grids]
    if len(boxes) == 2:  # four classes
        boxes = [o for o in boxes if "Sigmoid" not in o.tail]
    if len(boxes) != 1:
        return Mismatch(f"one output needs a box for each of {raw.cells()} cells", 1)
    place = raw.outputs.index(boxes[0])
    scores = raw.outputs[1 - place]
    cells, classes = (scores.shape[2], scores.shape[1]) if scores_last else scores.shape[1:]
    if cells is None or cells != boxes[0].shape[1] or classes is None:
        return Mismatch(f"{scores.name} needs scores for each row of {boxes[0].name}, with the classes in "
                        f"its {'second' if scores_last else 'last'} dimension", 2)  # fmt: skip
    if "Sigmoid" not in scores.tail:
        return Mismatch(f"{scores.name} does not pass a sigmoid", 3)
    return Match(classes, functools.partial(_build, place, scores_last, cells))


def _build(
    place: int, scores_last: bool, cells: int, graph: GraphBuilder, tensors: tuple[str, ...], spec: HeadSpec
) -> int:
    candidates = min(spec.max_candidates, cells)
    scores = graph.add("Transpose", tensors[1 - place], perm=[0, 2, 1]) if scores_last else tensors[1 - place]
    indices = top_k(graph, graph.reduce_max(scores, 2), candidates)
    gather_rows(graph, tensors[place], indices, 4, output=CANONICAL[0])
    write_labels(graph, gather_rows(graph, scores, indices, spec.label_count))
    return candidates

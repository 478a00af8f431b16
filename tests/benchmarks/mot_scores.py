"""Identities, crossings and stays scored against the truth of a sequence, by TrackEval's metrics."""

from __future__ import annotations

import contextlib
import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import trackeval
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from daemon.analysis.association import similarity
from tests.benchmarks.mot_sequences import Floats, Truth

Tracked = Mapping[int, tuple[NDArray[np.int64], Floats]]
"""numbers [n] and boxes [n, 4] by frame"""
_SAME = 0.5
"""IoU from which a box is the object's"""


def comparable(truth: Mapping[int, Truth], tracked: Tracked, frames: Sequence[int]) -> dict[str, Any]:
    """What TrackEval compares: identities from 0 and similarities, frame by frame, without distractors."""
    true_ids: dict[int, int] = {}
    ids: dict[int, int] = {}
    data: dict[str, Any] = {"gt_ids": [], "tracker_ids": [], "similarity_scores": []}
    for frame in frames:
        true, (numbers, boxes) = truth[frame], tracked[frame]
        similar = similarity(true.boxes.T, boxes.T)
        keep = ~_on_distractors(true, similar)
        data["gt_ids"].append(_from_zero(true.ids[true.counts], true_ids))
        data["tracker_ids"].append(_from_zero(numbers[keep], ids))
        data["similarity_scores"].append(similar[true.counts][:, keep])
    return {
        **data,
        "num_timesteps": len(frames),
        "num_gt_ids": len(true_ids),
        "num_tracker_ids": len(ids),
        "num_gt_dets": sum(map(len, data["gt_ids"])),
        "num_tracker_dets": sum(map(len, data["tracker_ids"])),
    }


def pairs(similar: Floats) -> list[tuple[int, int]]:
    """Rows and columns of the best assignment that are the same object."""
    rows, columns = linear_sum_assignment(-np.where(similar >= _SAME - 1e-9, similar, 0.0))
    return [(row, column) for row, column in zip(rows, columns, strict=True) if similar[row, column] >= _SAME - 1e-9]


def _on_distractors(true: Truth, similar: Floats) -> NDArray[np.bool_]:
    result = np.zeros(similar.shape[1], bool)
    if true.distracts.any() and similar.size:
        for row, column in pairs(similar):
            result[column] = true.distracts[row]
    return result


def _from_zero(numbers: NDArray[np.int64], known: dict[int, int]) -> NDArray[np.int64]:
    return np.array([known.setdefault(number, len(known)) for number in numbers.tolist()], np.int64)


def identity(compared: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, float]]:
    """HOTA, IDF1 and MOTA in per cent and ID switches: of each sequence, and `pooled` over the boxes of all."""
    quiet = {"PRINT_CONFIG": False}
    with contextlib.redirect_stdout(io.StringIO()):
        metrics = trackeval.metrics.HOTA(), trackeval.metrics.CLEAR(quiet), trackeval.metrics.Identity(quiet)
        each = {name: [metric.eval_sequence(data) for metric in metrics] for name, data in compared.items()}
        pooled = [
            metric.combine_sequences({name: results[index] for name, results in each.items()})
            for index, metric in enumerate(metrics)
        ]
    return {"pooled": _figures(*pooled), **{name: _figures(*results) for name, results in each.items()}}


def _figures(hota: Any, clear: Any, identity: Any) -> dict[str, float]:
    return {
        "HOTA": round(100 * float(np.mean(hota["HOTA"])), 2),
        "IDF1": round(100 * float(identity["IDF1"]), 2),
        "MOTA": round(100 * float(clear["MOTA"]), 2),
        "IDSW": int(clear["IDSW"]),
    }


Told = tuple[str, float, str]
"""place, time in seconds, and which way"""


def agreement(truth: Sequence[Told], told: Sequence[Told], tolerance: float) -> NDArray[np.int64]:
    """How many were told rightly, told wrongly, and missed; right is the same way within `tolerance` seconds."""
    open_: dict[tuple[str, str], list[float]] = defaultdict(list)
    for place, time, way in truth:
        open_[place, way].append(time)
    right = 0
    for place, time, way in sorted(told, key=lambda each: each[1]):
        near = [each for each in open_[place, way] if abs(each - time) <= tolerance]
        if near:
            open_[place, way].remove(min(near, key=lambda each: abs(each - time)))
            right += 1
    return np.array([right, len(told) - right, len(truth) - right])


def f1(counts: NDArray[np.int64]) -> dict[str, float]:
    """F1 in per cent, with what it comes from."""
    right, wrong, missed = counts.tolist()
    score = 200 * right / max(1, 2 * right + wrong + missed)
    return {"F1": round(score, 2), "told": right + wrong, "false": wrong, "missed": missed}

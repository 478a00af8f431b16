"""How far a lane agrees with a reference, picture by picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from engines.build.specification import BuildSpec
from engines.graphs.heads.base import CANONICAL
from engines.graphs.preprocess import FRAMES, IMAGES
from engines.model import Model
from engines.postprocess import Thresholds, suppress, to_detections
from engines.precision import Precision
from engines.records import Detections, Lane, Letterbox

EVERY_CANDIDATE = Thresholds(confidence=0.0, iou=1.0)
"""with these a lane gives what leaves its detector, mapped to source pixels"""
_LEAST = 0.5
"""score from which detections must agree"""
_IOU = 0.95
_SCORE = 0.02
_PLAUSIBLE = 0.05
"""score from which the box of a candidate means something"""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The detections of one picture against those of the reference."""

    expected: int
    """detections of the reference, of score 0.5 and more"""
    missed: int
    """of those: no detection of the same class at IoU 0.95 and with a score within 0.02, and no tie"""
    unexpected: int
    """the other way round"""
    ties: int
    """of both sides: the other saw it just so too, but NMS kept another in its place whose score is within 0.02"""
    worst_iou: float
    """of the best partner of each, at any score; 1 where there is nothing to compare"""
    worst_score: float
    """largest difference between partners; what has no partner has its whole score for one"""

    @property
    def agrees(self) -> bool:
        """Whether both saw the same."""
        return not self.missed and not self.unexpected


@dataclass(frozen=True, slots=True)
class OutputError:
    """How far the candidates of one picture, before NMS, are from those of the reference."""

    score: float
    """largest difference between the scores of the two lists, each best first"""
    box: float
    """source pixels; largest distance of a corner's coordinate between a candidate of the reference, of score 0.05 and
    more, and the candidate next to it, of whatever class"""


class GraphReference:
    """FP32 on ONNX Runtime, running the very graphs that engines are built from, preprocessing included.

    The CPU backend resizes with OpenCV, whose fixed-point arithmetic differs by one grey level in every ninth pixel;
    models with many near-equal candidates answer that with other ones.
    """

    def __init__(self, model: Model) -> None:
        """Raises ModelError."""
        spec = BuildSpec(model, Precision.FP32, max_batch=1)
        self._model = model
        options = ort.SessionOptions()
        options.log_severity_level = 3  # errors; warnings speak of constants that it folds
        detector = spec.detector(lambda _what, _fraction: None)
        self._preprocess = ort.InferenceSession(spec.preprocess().SerializeToString(), options)
        self._detector = ort.InferenceSession(detector.SerializeToString(), options)

    def __call__(self, picture: NDArray[np.uint8]) -> Detections:
        """Every candidate of a picture [H, W, 3] BGR."""
        model = self._model
        images = self._preprocess.run([IMAGES], {FRAMES: picture[None]})[0]
        boxes, scores, labels = (out[0] for out in self._detector.run(list(CANONICAL), {IMAGES: images}))
        box = Letterbox.of(picture.shape[1], picture.shape[0], model.width, model.height, model.geometry.fit)
        return to_detections(boxes, scores, labels, box, EVERY_CANDIDATE, nms=False)


def compare(
    reference: Callable[[NDArray[np.uint8]], Detections],
    lane: Lane,
    pictures: Iterable[NDArray[np.uint8]],
    overlap: float | None,
) -> Iterator[tuple[Comparison, OutputError]]:
    """What `lane` sees against what `reference` sees, picture by picture.

    Both give every candidate: open the lane with EVERY_CANDIDATE. Of those of one class that overlap by more than
    `overlap` the best is the detection; None where the model needs no NMS.
    """
    rest = iter(pictures)
    while batch := list(islice(rest, lane.max_batch)):
        seen = lane.collect(lane.submit(batch)).detections
        for picture, found in zip(batch, seen, strict=True):
            wanted = reference(picture)
            yield compare_candidates(wanted, found, overlap), output_error(wanted, found)


def compare_candidates(wanted: Detections, found: Detections, overlap: float | None) -> Comparison:
    """One picture's detections against those of the reference; both give every candidate, as in `compare`."""
    reference, seen = _Seen(wanted, overlap), _Seen(found, overlap)
    missed, missed_ties, ious, scores = _partners(reference, seen, _LEAST)
    # what the reference saw just below 0.5 may be just above it here
    unexpected, unexpected_ties, _, _ = _partners(seen, reference, _LEAST + _SCORE)
    return Comparison(
        expected=int((reference.detections.scores >= _LEAST).sum()),
        missed=missed,
        unexpected=unexpected,
        ties=missed_ties + unexpected_ties,
        worst_iou=min(ious, default=1.0),
        worst_score=max(scores, default=0.0),
    )


def output_error(wanted: Detections, found: Detections) -> OutputError:
    """One picture's candidates against those of the reference, each best first."""
    both = min(len(wanted), len(found))
    differences = np.abs(wanted.scores[:both] - found.scores[:both])
    boxes = wanted.boxes[wanted.scores >= _PLAUSIBLE]
    if not len(boxes) or not len(found):
        return OutputError(float(differences.max(initial=0.0)), float("inf") if len(boxes) else 0.0)
    nearest = np.abs(boxes[:, None] - found.boxes[None]).max(axis=2).min(axis=1)
    return OutputError(float(differences.max(initial=0.0)), float(nearest.max()))


class _Seen:
    """Every candidate of a picture, and what NMS leaves of them."""

    def __init__(self, candidates: Detections, overlap: float | None) -> None:
        self.candidates = self.detections = candidates
        self._overlap = overlap
        if overlap is not None and len(candidates):
            keep = suppress(candidates.boxes, candidates.scores, candidates.labels, overlap)
            self.detections = Detections(candidates.boxes[keep], candidates.scores[keep], candidates.labels[keep])

    def has_tie(self, box: NDArray[np.float32], score: float, label: int) -> bool:
        """Whether such a candidate gave way to a detection that scores nearly the same."""
        if self._overlap is None:
            return False
        for index in np.flatnonzero(_like(self.candidates, box, score, label)):
            beside = iou(self.candidates.boxes[index : index + 1], self.detections.boxes)[0] > self._overlap
            close = np.abs(self.detections.scores - self.candidates.scores[index]) <= _SCORE
            if (beside & close & (self.detections.labels == label)).any():
                return True
        return False


def _like(seen: Detections, box: NDArray[np.float32], score: float, label: int) -> NDArray[np.bool_]:
    """[N], which of those seen are the same object, seen alike."""
    same = (seen.labels == label) & (np.abs(seen.scores - score) <= _SCORE)
    alike: NDArray[np.bool_] = same & (iou(box[None], seen.boxes)[0] >= _IOU)
    return alike


def _partners(one: _Seen, other: _Seen, least: float) -> tuple[int, int, list[float], list[float]]:
    """How many detections of `one`, of score `least` and more, have no partner in `other`, how many of them tie.

    And IoU and difference of each one's best.
    """
    alone, ties, ious, scores = 0, 0, [], []
    detections = one.detections
    overlaps = iou(detections.boxes, other.detections.boxes)
    for i in np.flatnonzero(detections.scores >= least):
        box, score, label = detections.boxes[i], detections.scores[i], detections.labels[i]
        if not _like(other.detections, box, score, label).any():
            tie = other.has_tie(box, score, label)
            ties, alone = ties + tie, alone + (not tie)
        overlap = np.where(other.detections.labels == label, overlaps[i], 0.0)
        best = int(np.argmax(overlap)) if overlap.any() else None
        ious.append(0.0 if best is None else float(overlap[best]))
        scores.append(float(score if best is None else abs(other.detections.scores[best] - score)))
    return alone, ties, ious, scores


def iou(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """[N, M] overlaps of boxes a [N, 4] and b [M, 4], xyxy."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    inside = np.clip(high - low, 0, None).astype(np.float64).prod(axis=2)
    area_a, area_b = ((x[:, 2:] - x[:, :2]).astype(np.float64).prod(axis=1) for x in (a, b))
    overlaps: NDArray[np.float64] = inside / np.maximum(area_a[:, None] + area_b[None] - inside, 1e-9)
    return overlaps

"""Compares a session with a reference, image by image."""

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
from engines.records import Detections, DetectorSession, Letterbox
from engines.session_options import session_options

EVERY_CANDIDATE = Thresholds(confidence=0.0, iou=1.0, one_class=False)
"""with these a session returns all candidates, mapped to source pixels"""
_MIN_SCORE = 0.5
"""detections from this score must agree"""
_IOU = 0.95
_SCORE = 0.02
_PLAUSIBLE = 0.05
"""below this score the box of a candidate is noise"""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The detections in one image compared with those of the reference."""

    expected: int
    """number of detections of the reference with a score of at least 0.5"""
    missed: int
    """of those: without a detection of the same class at IoU 0.95 with a score within 0.02, and no tie"""
    unexpected: int
    """the same in the other direction"""
    ties: int
    """in both directions: the other side has the same candidate, but NMS kept another one whose score is within 0.02"""
    worst_iou: float
    """smallest IoU of a detection with its best match, at any score; 1 if there are none"""
    worst_score: float
    """largest score difference between matches; a detection without a match counts with its whole score"""

    @property
    def agrees(self) -> bool:
        """Whether the two sides agree."""
        return not self.missed and not self.unexpected


@dataclass(frozen=True, slots=True)
class OutputError:
    """The error of the candidates of one image, before NMS."""

    score: float
    """largest score difference of the two lists, each in descending order"""
    box: float
    """source pixels; largest coordinate difference between a candidate of the reference with a score of 0.05 or more
    and the nearest candidate of any class"""


class GraphReference:
    """FP32 on ONNX Runtime with the graphs that engines are built from, preprocessing included.

    The CPU backend resizes with OpenCV, whose fixed-point arithmetic differs by 1 in every ninth pixel value; models
    with many near-equal candidates then return other candidates.
    """

    def __init__(self, model: Model) -> None:
        """Raises ModelError."""
        spec = BuildSpec(model, Precision.FP32, max_batch=1)
        self._model = model
        options = session_options()
        detector = spec.detector(lambda _what, _fraction: None)
        self._preprocess = ort.InferenceSession(spec.preprocess().SerializeToString(), options)
        self._detector = ort.InferenceSession(detector.SerializeToString(), options)

    def __call__(self, image: NDArray[np.uint8]) -> Detections:
        """All candidates of an image [H, W, 3] BGR."""
        model = self._model
        inputs = self._preprocess.run([IMAGES], {FRAMES: image[None]})[0]
        boxes, scores, labels = (out[0] for out in self._detector.run(list(CANONICAL), {IMAGES: inputs}))
        box = Letterbox.of(image.shape[1], image.shape[0], model.width, model.height, model.geometry.fit)
        return to_detections(boxes, scores, labels, box, EVERY_CANDIDATE, nms=False)


def compare(
    reference: Callable[[NDArray[np.uint8]], Detections],
    session: DetectorSession,
    images: Iterable[NDArray[np.uint8]],
    overlap: float | None,
) -> Iterator[tuple[Comparison, OutputError]]:
    """Compares a session with `reference`, image by image.

    Both return all candidates: open the session with EVERY_CANDIDATE. `overlap` is the IoU threshold of NMS, None if
    the model needs no NMS.
    """
    rest = iter(images)
    while batch := list(islice(rest, session.max_batch)):
        seen = session.collect(session.submit(batch)).detections
        for image, found in zip(batch, seen, strict=True):
            expected = reference(image)
            yield compare_candidates(expected, found, overlap), output_error(expected, found)


def compare_candidates(expected: Detections, found: Detections, overlap: float | None) -> Comparison:
    """Compares the detections in one image; both sides have all candidates, as in `compare`."""
    reference, seen = _Candidates(expected, overlap), _Candidates(found, overlap)
    missed, missed_ties, ious, scores = _match(reference, seen, _MIN_SCORE)
    # a score just below 0.5 in the reference may be just above it here
    unexpected, unexpected_ties, _, _ = _match(seen, reference, _MIN_SCORE + _SCORE)
    return Comparison(
        expected=int((reference.detections.scores >= _MIN_SCORE).sum()),
        missed=missed,
        unexpected=unexpected,
        ties=missed_ties + unexpected_ties,
        worst_iou=min(ious, default=1.0),
        worst_score=max(scores, default=0.0),
    )


def output_error(expected: Detections, found: Detections) -> OutputError:
    """Compares the candidates of one image, each in descending order of score."""
    both = min(len(expected), len(found))
    differences = np.abs(expected.scores[:both] - found.scores[:both])
    boxes = expected.boxes[expected.scores >= _PLAUSIBLE]
    if not len(boxes) or not len(found):
        return OutputError(float(differences.max(initial=0.0)), float("inf") if len(boxes) else 0.0)
    nearest = np.abs(boxes[:, None] - found.boxes[None]).max(axis=2).min(axis=1)
    return OutputError(float(differences.max(initial=0.0)), float(nearest.max()))


class _Candidates:
    """All candidates of an image, and the detections that NMS keeps."""

    def __init__(self, candidates: Detections, overlap: float | None) -> None:
        self.candidates = self.detections = candidates
        self._overlap = overlap
        if overlap is not None and len(candidates):
            keep = suppress(candidates.boxes, candidates.scores, candidates.labels, overlap)
            self.detections = Detections(candidates.boxes[keep], candidates.scores[keep], candidates.labels[keep])

    def has_tie(self, box: NDArray[np.float32], score: float, label: int) -> bool:
        """Whether NMS suppressed such a candidate in favour of a detection with nearly the same score."""
        if self._overlap is None:
            return False
        for index in np.flatnonzero(_matches(self.candidates, box, score, label)):
            beside = iou(self.candidates.boxes[index : index + 1], self.detections.boxes)[0] > self._overlap
            close = np.abs(self.detections.scores - self.candidates.scores[index]) <= _SCORE
            if (beside & close & (self.detections.labels == label)).any():
                return True
        return False


def _matches(seen: Detections, box: NDArray[np.float32], score: float, label: int) -> NDArray[np.bool_]:
    """[N], which detections match in class, score and box."""
    same = (seen.labels == label) & (np.abs(seen.scores - score) <= _SCORE)
    alike: NDArray[np.bool_] = same & (iou(box[None], seen.boxes)[0] >= _IOU)
    return alike


def _match(one: _Candidates, other: _Candidates, least: float) -> tuple[int, int, list[float], list[float]]:
    """How many detections of `one` with a score of at least `least` have no match in `other`, and how many are ties.

    Also the IoU and the score difference of the best match of each.
    """
    alone, ties, ious, scores = 0, 0, [], []
    detections = one.detections
    overlaps = iou(detections.boxes, other.detections.boxes)
    for i in np.flatnonzero(detections.scores >= least):
        box, score, label = detections.boxes[i], detections.scores[i], detections.labels[i]
        if not _matches(other.detections, box, score, label).any():
            tie = other.has_tie(box, score, label)
            ties, alone = ties + tie, alone + (not tie)
        overlap = np.where(other.detections.labels == label, overlaps[i], 0.0)
        best = int(np.argmax(overlap)) if overlap.any() else None
        ious.append(0.0 if best is None else float(overlap[best]))
        scores.append(float(score if best is None else abs(other.detections.scores[best] - score)))
    return alone, ties, ious, scores


def iou(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """[N, M] IoU of boxes a [N, 4] and b [M, 4], xyxy."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    inside = np.clip(high - low, 0, None).astype(np.float64).prod(axis=2)
    area_a, area_b = ((x[:, 2:] - x[:, :2]).astype(np.float64).prod(axis=1) for x in (a, b))
    overlaps: NDArray[np.float64] = inside / np.maximum(area_a[:, None] + area_b[None] - inside, 1e-9)
    return overlaps

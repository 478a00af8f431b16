"""How good a lane is: COCO mAP on labelled pictures, and agreement with a reference, picture by picture."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from engines.errors import EvaluationError
from engines.graphs.heads.base import CANONICAL
from engines.graphs.preprocess import FRAMES, IMAGES
from engines.model import Model
from engines.pictures import read_picture
from engines.postprocess import Thresholds, suppress, to_detections
from engines.precision import Precision
from engines.recipe import Recipe
from engines.records import Detections, Lane, Letterbox

COCO_THRESHOLDS = Thresholds(confidence=0.005, iou=0.6)
"""what detectors are compared with: nearly every candidate counts"""
EVERY_CANDIDATE = Thresholds(confidence=0.0, iou=1.0)
"""with these a lane gives what leaves its detector, mapped to source pixels"""
_LEAST = 0.5
"""score from which detections must agree"""
_IOU = 0.95
_SCORE = 0.02
_NEEDED = {
    "images": ("id", "file_name"),
    "annotations": ("image_id", "category_id", "bbox", "area"),
    "categories": ("id", "name"),
}
"""what pycocotools reads of COCO's annotations"""
_PLAUSIBLE = 0.05
"""score from which the box of a candidate means something"""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Average precision as COCO defines it."""

    images: int
    map50_95: float
    """mean over the classes and over IoU 0.5 to 0.95"""
    map50: float
    """mean over the classes at IoU 0.5"""
    ap50: dict[str, float]
    """by class at IoU 0.5, of the classes that occur"""


def coco_accuracy(
    lane: Lane,
    labels: Sequence[str],
    annotations: Path,
    images: Path,
    progress: Callable[[float], None] = lambda _: None,
) -> Accuracy:
    """Accuracy on the pictures that a COCO annotation file names; categories are matched by name.

    The lane should have been opened with COCO_THRESHOLDS. Classes that only the model knows do not count; classes that
    only the annotations know count as missed. Raises EvaluationError and ImageError.
    """
    _pycocotools()  # told before the work, not after it
    truth = _read_annotations(annotations)
    by_name = {category["name"]: category["id"] for category in truth["categories"]}
    category = [by_name.get(label) for label in labels]
    if not any(known is not None for known in category):
        raise EvaluationError(
            f"{annotations}: none of its categories ({_some(by_name)}) is a class of the model ({_some(labels)})"
        )
    entries: list[dict[str, Any]] = truth["images"]
    found: list[dict[str, Any]] = []
    for first in range(0, len(entries), lane.max_batch):
        batch = entries[first : first + lane.max_batch]
        pictures = [read_picture(images / Path(entry["file_name"]).name) for entry in batch]
        for entry, detections in zip(batch, lane.collect(lane.submit(pictures)).detections, strict=True):
            found += [
                {"image_id": entry["id"], "category_id": category[label], "bbox": box, "score": score}
                for box, score, label in _plain(detections)
                if category[label] is not None
            ]
        progress(min(1.0, (first + len(batch)) / len(entries)))
    return average_precision(truth, found)


def average_precision(truth: dict[str, Any], found: list[dict[str, Any]]) -> Accuracy:
    """COCO's average precision of detections `found` (image_id, category_id, bbox xywh, score) in a COCO dataset.

    Raises EvaluationError where pycocotools is missing.
    """
    coco_class, evaluation_class = _pycocotools()
    if not found:
        return Accuracy(len(truth["images"]), 0.0, 0.0, {})
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        coco = coco_class()
        coco.dataset = {"info": {}, **truth}
        coco.createIndex()
        evaluation = evaluation_class(coco, coco.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    precision = evaluation.eval["precision"][0, :, :, 0, -1]  # IoU 0.5: [recall, class], every area, most detections
    names = {category["id"]: category["name"] for category in truth["categories"]}
    ap50 = {
        names[identity]: float(values.mean())
        for identity, values in zip(evaluation.params.catIds, precision.T, strict=True)
        if values.min() > -1  # the class occurs
    }
    return Accuracy(len(truth["images"]), float(evaluation.stats[0]), float(evaluation.stats[1]), ap50)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The detections of one picture against those of the reference."""

    expected: int
    """detections of the reference, of score 0.5 and more"""
    missed: int
    """of those: no detection of the same class at IoU 0.95 and with a score within 0.02"""
    unexpected: int
    """the other way round"""
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
        recipe = Recipe(model, Precision.FP32, max_batch=1)
        self._model = model
        options = ort.SessionOptions()
        options.log_severity_level = 3  # errors; warnings speak of constants that it folds
        detector = recipe.detector(lambda _what, _fraction: None)
        self._preprocess = ort.InferenceSession(recipe.preprocess().SerializeToString(), options)
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
            yield compare_detections(_detected(wanted, overlap), _detected(found, overlap)), output_error(wanted, found)


def compare_detections(wanted: Detections, found: Detections) -> Comparison:
    """One picture's detections against those of the reference."""
    missed, ious, scores = _partners(wanted, found, _LEAST)
    # what the reference saw just below 0.5 may be just above it here
    unexpected, _, _ = _partners(found, wanted, _LEAST + _SCORE)
    return Comparison(
        expected=int((wanted.scores >= _LEAST).sum()),
        missed=missed,
        unexpected=unexpected,
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


def _detected(candidates: Detections, overlap: float | None) -> Detections:
    """What is left of every candidate after NMS."""
    if overlap is None or not len(candidates):
        return candidates
    keep = suppress(candidates.boxes, candidates.scores, candidates.labels, overlap)
    return Detections(candidates.boxes[keep], candidates.scores[keep], candidates.labels[keep])


def _partners(one: Detections, other: Detections, least: float) -> tuple[int, list[float], list[float]]:
    """How many of `one`, of score `least` and more, have no partner in `other`; IoU and difference of the best."""
    alone, ious, scores = 0, [], []
    overlaps = iou(one.boxes, other.boxes)
    for i in np.flatnonzero(one.scores >= least):
        overlap = np.where(other.labels == one.labels[i], overlaps[i], 0.0)
        difference = np.abs(other.scores - one.scores[i])
        best = int(np.argmax(overlap)) if overlap.any() else None
        ious.append(0.0 if best is None else float(overlap[best]))
        scores.append(float(one.scores[i] if best is None else difference[best]))
        alone += not ((overlap >= _IOU) & (difference <= _SCORE)).any()
    return alone, ious, scores


def iou(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """[N, M] overlaps of boxes a [N, 4] and b [M, 4], xyxy."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    inside = np.clip(high - low, 0, None).astype(np.float64).prod(axis=2)
    area_a, area_b = ((x[:, 2:] - x[:, :2]).astype(np.float64).prod(axis=1) for x in (a, b))
    overlaps: NDArray[np.float64] = inside / np.maximum(area_a[:, None] + area_b[None] - inside, 1e-9)
    return overlaps


def _pycocotools() -> tuple[Any, Any]:
    """Its classes COCO and COCOeval."""
    try:
        from pycocotools.coco import COCO  # noqa: PLC0415  an extra
        from pycocotools.cocoeval import COCOeval  # noqa: PLC0415
    except ModuleNotFoundError:
        raise EvaluationError("mAP needs the package pycocotools: pip install 'ospreyd[eval]'") from None
    return COCO, COCOeval


def _read_annotations(path: Path) -> dict[str, Any]:
    try:
        truth = json.loads(path.read_bytes())
    except OSError as error:
        raise EvaluationError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise EvaluationError(f"{path}: is not JSON; COCO's instances file is needed") from None
    if not isinstance(truth, dict) or not truth.keys() >= _NEEDED.keys():
        raise EvaluationError(f"{path}: has no images, annotations and categories; COCO's instances file is needed")
    for part, keys in _NEEDED.items():
        lacking = next((key for entry in truth[part] for key in keys if key not in entry), None)
        if lacking is not None:
            raise EvaluationError(f"{path}: one of its {part} has no {lacking!r}; COCO's instances file is needed")
    for number, annotation in enumerate(truth["annotations"], start=1):
        annotation["id"] = number  # pycocotools takes a match with number 0 for none
        annotation.setdefault("iscrowd", 0)
    return truth


def _plain(detections: Detections) -> list[tuple[list[float], float, int]]:
    """Boxes as xywh, scores and labels as COCO's tools take them."""
    boxes = detections.boxes.astype(np.float64)
    boxes[:, 2:] -= boxes[:, :2]
    return list(zip(boxes.tolist(), detections.scores.tolist(), detections.labels.tolist(), strict=True))


def _some(names: Sequence[str] | dict[str, int]) -> str:
    return ", ".join(list(names)[:3]) + (", …" if len(names) > 3 else "")

"""Accuracy of a session on labelled images: COCO's average precision."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engines.errors import EvaluationError
from engines.image_file import read_image
from engines.postprocess import Thresholds
from engines.records import Detections, DetectorSession

COCO_THRESHOLDS = Thresholds(confidence=0.005, iou=0.6, one_class=False)
"""the thresholds of published results: nearly every candidate counts"""
_NEEDED = {
    "images": ("id", "file_name"),
    "annotations": ("image_id", "category_id", "bbox", "area"),
    "categories": ("id", "name"),
}
"""the keys of COCO's annotations that pycocotools reads"""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """COCO's average precision."""

    images: int
    map50_95: float
    """mean over the classes and over IoU 0.5 to 0.95"""
    map50: float
    """mean over the classes at IoU 0.5"""
    ap50: dict[str, float]
    """per class at IoU 0.5, for the classes that occur"""


def coco_accuracy(
    session: DetectorSession,
    labels: Sequence[str],
    annotations: Path,
    images: Path,
    progress: Callable[[float], None] = lambda _: None,
) -> Accuracy:
    """Accuracy on the images of a COCO annotation file; categories are matched by name.

    Open the session with COCO_THRESHOLDS. Classes that only the model has are ignored; classes that only the
    annotations have count as missed. Raises EvaluationError and ImageError.
    """
    _pycocotools()  # raises before the work, not after it
    truth = _read_annotations(annotations)
    by_name = {category["name"]: category["id"] for category in truth["categories"]}
    category_of = [by_name.get(label) for label in labels]
    if not any(known is not None for known in category_of):
        raise EvaluationError(
            f"{annotations}: none of its categories ({_some(by_name)}) is a class of the model ({_some(labels)})"
        )
    entries: list[dict[str, Any]] = truth["images"]
    found: list[dict[str, Any]] = []
    for first in range(0, len(entries), session.max_batch):
        batch = entries[first : first + session.max_batch]
        batch_images = [read_image(images / Path(entry["file_name"]).name) for entry in batch]
        for entry, detections in zip(batch, session.collect(session.submit(batch_images)).detections, strict=True):
            found += [
                {"image_id": entry["id"], "category_id": category_of[label], "bbox": box, "score": score}
                for box, score, label in _plain(detections)
                if category_of[label] is not None
            ]
        progress(min(1.0, (first + len(batch)) / len(entries)))
    return average_precision(truth, found)


def average_precision(truth: dict[str, Any], found: list[dict[str, Any]]) -> Accuracy:
    """COCO's average precision of detections `found` (image_id, category_id, bbox xywh, score) on the dataset `truth`.

    Raises EvaluationError if pycocotools is missing.
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


def _pycocotools() -> tuple[Any, Any]:
    """The classes COCO and COCOeval."""
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
        raise EvaluationError(f"{path}: is not JSON; give COCO's instances file") from None
    if not isinstance(truth, dict) or not truth.keys() >= _NEEDED.keys():
        raise EvaluationError(f"{path}: has no images, annotations and categories; give COCO's instances file")
    for part, keys in _NEEDED.items():
        lacking = next((key for entry in truth[part] for key in keys if key not in entry), None)
        if lacking is not None:
            raise EvaluationError(f"{path}: one of its {part} has no {lacking!r}; give COCO's instances file")
    for number, annotation in enumerate(truth["annotations"], start=1):
        annotation["id"] = number  # pycocotools treats a match with id 0 as no match
        annotation.setdefault("iscrowd", 0)
    return truth


def _plain(detections: Detections) -> list[tuple[list[float], float, int]]:
    """Boxes as xywh, scores and labels, as pycocotools takes them."""
    boxes = detections.boxes.astype(np.float64)
    boxes[:, 2:] -= boxes[:, :2]
    return list(zip(boxes.tolist(), detections.scores.tolist(), detections.labels.tolist(), strict=True))


def _some(names: Sequence[str] | dict[str, int]) -> str:
    return ", ".join(list(names)[:3]) + (", …" if len(names) > 3 else "")

"""Reference detections of the test material, and how far found detections are from them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engines.evaluate.verify import iou
from engines.records import Detections

MODELS = (
    "yolox_nano_416",
    "yolov5n_640_fp16weights",
    "yolov8n_640_fp32.derived",
    "nanodet_m_320",
    "picodet_s_320",
    "fastestdet_352",
    "deimv2_atto_320",
    "deimv2_atto_320_rawlogits.derived",
    "ssd_mobilenet_v1_300_nms_qdq.derived",
)
A_FEW = ("deimv2_atto_320", "ssd_mobilenet_v1_300_nms_qdq.derived", "yolox_nano_416")
"""of them, for tests of the way to a session: with constants as inputs, with uint8 rows, plain"""
LEAST = 0.5
"""scores from here on must agree"""
SCORE = 0.02
IOU = 0.9


@dataclass(frozen=True)
class Reference:
    """What a model is expected to find in one picture; detections from a score of 0.1."""

    image: str
    detections: list[dict[str, Any]]


def expected_of(material: Path, model: str) -> list[Reference]:
    files = sorted((material / "expected" / model).glob("*.json"))
    documents = [json.loads(file.read_text()) for file in files]
    return [Reference(d["image"], d["detections"]) for d in documents]


def with_one_class(reference: Reference) -> Reference:
    """Without what the reference has under another class too, with the same box and a higher score."""
    best: dict[tuple[float, ...], dict[str, Any]] = {}
    for detection in sorted(reference.detections, key=lambda d: -d["score"]):
        best.setdefault(tuple(detection["xyxy"]), detection)
    return Reference(reference.image, list(best.values()))


def disagreements(reference: Reference, found: Detections) -> list[str]:
    """Every expected detection that was not found, and every found one that was not expected, as sentences."""
    problems = []
    boxes = np.array([d["xyxy"] for d in reference.detections], float).reshape(-1, 4)
    overlap = iou(boxes, found.boxes)
    for i, d in enumerate(reference.detections):
        same = (found.labels == d["class_id"]) & (overlap[i] >= IOU)
        if d["score"] >= LEAST and not (same & (np.abs(found.scores - d["score"]) <= SCORE)).any():
            problems.append(f"{reference.image}: missed {d}")
    classes = np.array([d["class_id"] for d in reference.detections])
    for j, (score, label) in enumerate(zip(found.scores, found.labels, strict=True)):
        if score >= LEAST + SCORE and not ((classes == label) & (overlap[:, j] >= IOU)).any():
            problems.append(f"{reference.image}: unexpected {label} {score:.3f} {found.boxes[j]}")
    return problems

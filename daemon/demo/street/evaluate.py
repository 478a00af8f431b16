"""How good the shipped detector is on streets that it has never seen: `python -m daemon.demo.street.evaluate`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from daemon.demo.street.generator import COUNTS_FROM, LABELS, StreetScene
from daemon.demo.street.training_data import as_sent
from engines.evaluate.accuracy import Accuracy, average_precision
from engines.model import read_model
from engines.models import street_onnx
from engines.onnx_runtime import OnnxRuntimeSession
from engines.postprocess import Thresholds
from engines.text import counted

HELD_OUT = 1_000_000
"""seeds of streets from here on are never trained on"""
_SIZES = ((1280, 720), (640, 480), (960, 540), (720, 480))
_QUALITY = 70  # of the JPEG that every picture goes through, as a camera's would
_THRESHOLDS = Thresholds(confidence=0.005, iou=0.5)


def evaluate(model: Path, streets: int, pictures: int) -> Accuracy:
    """Accuracy on `pictures` of each of so many held-out streets."""
    session = OnnxRuntimeSession(read_model(model), _THRESHOLDS, max_batch=1)
    truths: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    images = 0
    try:
        for street in range(streets):
            scene = StreetScene(*_SIZES[street % len(_SIZES)], HELD_OUT + street)
            for t in np.random.default_rng(street).uniform(0, 240, pictures):
                picture, objects = scene.render(float(t))
                images += 1
                for truth in objects:
                    x1, y1, x2, y2 = truth.box
                    # "crowd" is COCO's word for what may be found or not
                    entry = _entry(images, truth.label, x1, y1, x2, y2) | {"iscrowd": int(truth.visible < COUNTS_FROM)}
                    truths.append(entry | {"id": len(truths) + 1})
                detections = session.collect(session.submit([as_sent(picture, _QUALITY)])).detections[0]
                for box, score, label in zip(detections.boxes, detections.scores, detections.labels, strict=True):
                    x1, y1, x2, y2 = (float(v) for v in box)
                    found.append(_entry(images, int(label), x1, y1, x2, y2) | {"score": float(score)})
    finally:
        session.close()
    dataset: dict[str, Any] = {
        "images": [{"id": i + 1} for i in range(images)],
        "categories": [{"id": i, "name": name} for i, name in enumerate(LABELS)],
        "annotations": truths,
    }
    return average_precision(dataset, found)


def _entry(image: int, label: int, x1: float, y1: float, x2: float, y2: float) -> dict[str, Any]:
    width, height = x2 - x1, y2 - y1
    return {"image_id": image, "category_id": label, "bbox": [x1, y1, width, height], "area": width * height}


def main() -> None:
    """Prints the table of the model card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=street_onnx())
    parser.add_argument("--streets", type=int, default=100, help="held-out streets")
    parser.add_argument("--pictures", type=int, default=5, help="of each street")
    options = parser.parse_args()
    accuracy = evaluate(options.model, options.streets, options.pictures)
    rows = [f"{name:10} AP50 {value:.3f}" for name, value in accuracy.ap50.items()]
    rows.append(
        f"mAP50 {accuracy.map50:.3f}  mAP50-95 {accuracy.map50_95:.3f}  on {counted(accuracy.images, 'picture')}"
    )
    print("\n".join(rows))  # noqa: T201


if __name__ == "__main__":
    main()

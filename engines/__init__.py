"""From a model file to detections on arrays; knows nothing of cameras, MQTT or configuration files.

    with Detector.load("yolox_nano.onnx", labels="coco") as detector:
        for found in detector.detect(image):
            print(found.label, found.score, found.box)

Importing this package loads no other library; the first use of one of its names does.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engines.backends import SessionSettings
    from engines.detector import Detection, Detector
    from engines.errors import EngineError
    from engines.postprocess import Thresholds
    from engines.precision import Precision

__all__ = ["Detection", "Detector", "EngineError", "Precision", "SessionSettings", "Thresholds"]

_HOMES = {
    "Detection": "engines.detector",
    "Detector": "engines.detector",
    "EngineError": "engines.errors",
    "SessionSettings": "engines.backends",
    "Precision": "engines.precision",
    "Thresholds": "engines.postprocess",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)

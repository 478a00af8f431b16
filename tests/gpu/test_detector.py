"""The library's Detector on the GPU: built only on request, shared by threads, and the process unchanged."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest

from daemon.demo.street.generator import StreetScene
from engines import Detector, SessionSettings
from engines.backends import CPU, Backend
from engines.detector import Detection
from engines.errors import NotPreparedError
from engines.models import street_onnx


def missed(one: list[Detection], other: list[Detection]) -> list[Detection]:
    """What `one` has with a score of at least 0.6 and `other` has not, within 5 pixels, at any score."""
    return [
        d
        for d in one
        if d.score >= 0.6 and not any(d.label == o.label and np.abs(np.subtract(d.box, o.box)).max() < 5 for o in other)
    ]


def test_detector_builds_on_request_and_agrees_with_onnx_runtime(backend: Backend, tmp_path: Path) -> None:
    image = StreetScene(1280, 720, seed=3).render(4.0)[0]
    settings = SessionSettings(max_batch=2, cache=tmp_path / "engines")
    environment = dict(os.environ)
    with pytest.raises(NotPreparedError):
        Detector.load(street_onnx(), backend=backend.name, settings=settings)
    steps: list[float] = []
    Detector.prepare(
        street_onnx(), backend=backend.name, settings=settings, progress=lambda _step, done: steps.append(done)
    )
    assert steps
    with Detector.load(street_onnx(), backend=CPU) as reference:
        expected = reference.detect(image)
    found: list[list[Detection]] = []
    with Detector.load(street_onnx(), backend=backend.name, settings=settings) as detector:
        found.append(detector.detect(image))
        found += detector.collect(detector.submit([image, image]))
        thread = threading.Thread(target=lambda: found.append(detector.detect(image)))
        thread.start()
        thread.join()
    assert dict(os.environ) == environment
    assert len(found) == 4
    assert any(d.score >= 0.6 for d in expected)
    for detections in found:
        assert missed(detections, expected) == missed(expected, detections) == []

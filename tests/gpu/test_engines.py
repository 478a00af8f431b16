"""Engines on the GPU against ONNX Runtime: every model, every precision that builds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from daemon.demo.street.generator import StreetScene
from engines.backends import Backend, SessionSettings, open_session, prepare
from engines.build.cache import EngineCache
from engines.errors import ModelError
from engines.evaluate.verify import EVERY_CANDIDATE, GraphReference, compare
from engines.image_file import read_image
from engines.model import read_model
from engines.models import street_onnx
from engines.postprocess import Thresholds
from engines.precision import Precision
from tests.reference import MODELS

THRESHOLDS = Thresholds(0.1, 0.45, one_class=False)
CHOOSES_QUERIES = {"deimv2_atto_320", "deimv2_atto_320_rawlogits.derived"}
"""In FP16 rounding changes which queries the decoder goes on with, and so scores a little (docs/precision.md)."""
PRECISIONS = (Precision.FP32, Precision.FP16)


@pytest.mark.parametrize("precision", PRECISIONS, ids=lambda p: p.value)
@pytest.mark.parametrize("name", sorted(MODELS))
def test_agrees_with_onnx_runtime(
    name: str, precision: Precision, backend: Backend, cache: EngineCache, material: Path
) -> None:
    """Every detection of 0.5 and more, with IoU 0.95 and a score within 0.02."""
    model = read_model(material / "models" / f"{name}.onnx", labels="coco")
    settings = SessionSettings(EVERY_CANDIDATE, max_batch=2, precision=precision, cache=cache.folder)
    try:
        session = open_session(prepare(backend, model, settings, lambda *_: None))
    except ModelError as error:
        pytest.skip(str(error))
    pictures = [read_image(path) for path in sorted((material / "images").iterdir())]
    assert len(pictures) == 12
    seen = list(compare(GraphReference(model), session, pictures, THRESHOLDS.iou if model.family.nms else None))
    session.close()
    assert sum(c.expected for c, _ in seen) > 10
    if name in CHOOSES_QUERIES and precision is Precision.FP16:
        assert max(c.worst_score for c, _ in seen) < 0.06
        assert min(c.worst_iou for c, _ in seen) > 0.95
        return
    assert [c for c, _ in seen if not c.agrees] == []


def test_two_lanes_share_the_device(backend: Backend, cache: EngineCache) -> None:
    model = read_model(street_onnx())
    scene = StreetScene(1280, 720, seed=3)
    pictures = [scene.render(t)[0] for t in range(3)]
    prepared = prepare(backend, model, SessionSettings(THRESHOLDS, max_batch=2, cache=cache.folder), lambda *_: None)
    first, second = open_session(prepared), open_session(prepared)
    handles = [(session, session.submit([picture])) for picture in pictures[:2] for session in (first, second)]
    found = [session.collect(handle).detections[0] for session, handle in handles]
    for one, other in (found[:2], found[2:]):  # kernels may differ: some are compiled while others already run
        assert one.labels.tolist() == other.labels.tolist()
        assert np.allclose(one.boxes, other.boxes, atol=1.0)
    first.close()
    assert len(second.collect(second.submit([pictures[2]])).detections[0])
    second.close()

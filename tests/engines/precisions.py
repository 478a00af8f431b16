"""What the tests of precisions share: canonical detectors, streets, and what two precisions find in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import onnx
from numpy.typing import NDArray

from daemon.demo.street.generator import StreetScene
from engines.evaluate.verify import Comparison, compare_candidates
from engines.graphs.compose import canonical_detector
from engines.model import Model
from engines.onnx_runtime import OnnxRuntimeSession, batched_body
from engines.postprocess import Thresholds


def canonical(model: Model) -> onnx.ModelProto:
    """The model's detector as the file has its types."""
    return canonical_detector(model, batched_body(model))


def streets(count: int) -> Iterator[NDArray[np.uint8]]:
    """So many pictures of a street, seconds apart."""
    scene = StreetScene(640, 480, seed=4)
    return (scene.render(7.0 * t)[0] for t in range(count))


def compared(model: Model, at_precision: onnx.ModelProto, pictures: Iterable[NDArray[np.uint8]]) -> list[Comparison]:
    """What the model finds in its own precision and in another."""
    sessions = [
        OnnxRuntimeSession(model, Thresholds(0.3, 0.5), 1, detector=detector) for detector in (None, at_precision)
    ]
    try:
        seen = [
            [session.collect(session.submit([picture])).detections[0] for session in sessions] for picture in pictures
        ]
    finally:
        for session in sessions:
            session.close()
    return [compare_candidates(wanted, found, overlap=None) for wanted, found in seen]

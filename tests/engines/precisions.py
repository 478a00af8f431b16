"""What the tests of precisions share: canonical detectors, streets, and what two precisions find in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from daemon.demo.street.generator import StreetScene
from engines.evaluate.verify import EVERY_CANDIDATE, Comparison, compare_candidates
from engines.graphs.compose import canonical_detector
from engines.model import Model
from engines.onnx_runtime import OnnxRuntimeSession, batched_body

_OVERLAP = 0.45
"""IoU above which two boxes of one class are one object"""
_SHARE = 0.05
"""of the detections that may differ"""


def canonical(model: Model) -> onnx.ModelProto:
    """The model's detector as the file has its types."""
    return canonical_detector(model, batched_body(model))


def streets(count: int) -> Iterator[NDArray[np.uint8]]:
    """So many pictures of a street, seconds apart."""
    scene = StreetScene(640, 480, seed=4)
    return (scene.render(7.0 * t)[0] for t in range(count))


def compared(model: Model, at_precision: onnx.ModelProto, pictures: Iterable[NDArray[np.uint8]]) -> list[Comparison]:
    """What the model finds in its own precision and in another, by the rule of `ospreyd engine verify`."""
    sessions = [OnnxRuntimeSession(model, EVERY_CANDIDATE, 1, detector=detector) for detector in (None, at_precision)]
    try:
        seen = [[session.collect(session.submit([image])).detections[0] for session in sessions] for image in pictures]
    finally:
        for session in sessions:
            session.close()
    overlap = _OVERLAP if model.family.nms else None
    return [compare_candidates(wanted, found, overlap) for wanted, found in seen]


def agrees_but_for_rounding(seen: Sequence[Comparison]) -> bool:
    """Whether at most one detection in twenty differs, either way.

    Which last bits a processor rounds away depends on its instructions. Moving a fiftieth of the FP16 weights by one
    step changes the scores of up to two of 46 detections of a DEIMv2 by 0.021 to 0.030; the tolerance is 0.02.
    """
    most = sum(picture.expected for picture in seen) * _SHARE
    return sum(picture.missed for picture in seen) <= most and sum(picture.unexpected for picture in seen) <= most


def with_coarse_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """A broken conversion to FP16, which keeps five bits of each weight instead of eleven."""
    coarse = onnx.ModelProto()
    coarse.CopyFrom(model)
    for constant in coarse.graph.initializer:
        if constant.data_type == onnx.TensorProto.FLOAT16:
            fraction, exponent = np.frexp(numpy_helper.to_array(constant).astype(np.float32))
            values = np.ldexp(np.round(fraction * 32) / 32, exponent).astype(np.float16)
            constant.CopyFrom(numpy_helper.from_array(values, constant.name))
    return coarse

"""Runs a model on two pictures to find out whether its outputs can mean what its family says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import helper

from engines.graphs.compose import canonical_detector, fixed_batch, with_frame_input
from engines.graphs.heads.base import CANONICAL, NO_CLASS_SCORE
from engines.graphs.preprocess import FRAMES
from engines.postprocess import HIGHEST_SCORE
from engines.session_options import FATAL, session_options

if TYPE_CHECKING:
    from engines.model import Model

_SCORED = 0.05
"""lowest score of a box that is checked: others may be anything"""
_LEAST_LOOKED_AT = 20
_FEW = 0.25
"""share of boxes that may be impossible, since untrained and weak models give some"""
_FAR = 4.0
"""how many widths or heights of the input a corner may be outside"""
_FRACTION = 1.5
"""corners that are all below this are fractions of the input and no pixels"""


def misreading(model: Model) -> str | None:
    """What is impossible in the results of a model as it is read, as a clause; None if nothing is.

    A model that ONNX Runtime cannot run passes: opening it says why it cannot be run.
    """
    detector = with_frame_input(model, canonical_detector(model, model.proto))
    try:
        options = session_options(FATAL)  # opening a session reports what goes wrong here
        session = ort.InferenceSession(detector.SerializeToString(), options, providers=["CPUExecutionProvider"])
        batch = session.get_inputs()[0].shape[0]
        size = batch if isinstance(batch, int) else 1
        found = [
            session.run(list(CANONICAL), {FRAMES: np.stack([picture] * size)})[:2]
            for picture in _pictures(model.height, model.width)
        ]
    except Exception:  # ONNX Runtime's errors share no public base class
        return "its outputs do not go together" if _runs_alone(model) else None
    if any(len(part) != size for parts in found for part in parts):
        return "its outputs are not of one image"
    boxes, scores = (np.concatenate([part[0] for part in parts]) for parts in zip(*found, strict=True))
    return _impossible_scores(scores) or _impossible_boxes(boxes, scores, model.width, model.height)


def _runs_alone(model: Model) -> bool:
    """Whether the model without its head runs on a black picture."""
    shape = (3, model.height, model.width) if model.planar else (model.height, model.width, 3)
    batch = fixed_batch(model.proto, model.input_name) or 1
    black = np.zeros((batch, *shape), helper.tensor_dtype_to_np_dtype(model.input_type))
    options = session_options(FATAL)  # as above
    try:
        session = ort.InferenceSession(model.proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
        session.run(None, {model.input_name: black})
    except Exception:  # as above
        return False
    return True


def _pictures(height: int, width: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A grey and a textured picture [height, width, 3]."""
    coarse = np.random.default_rng(0).integers(0, 256, (9, 9, 3)).astype(np.uint8)
    textured = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.full((height, width, 3), 114, np.uint8), np.asarray(textured, np.uint8)


def _impossible_scores(scores: NDArray[np.float32]) -> str | None:
    if (scores == NO_CLASS_SCORE).any():
        return "its classes are no whole numbers"
    if (scores > HIGHEST_SCORE).any():
        return f"a score is {scores.max():.2f}, above 1"
    negative = scores[(scores < -0.01) & (scores != -1)]
    return f"a score is {negative.min():.2f}, below 0" if len(negative) else None


def _impossible_boxes(boxes: NDArray[np.float32], scores: NDArray[np.float32], width: int, height: int) -> str | None:
    looked_at = scores > _SCORED
    if np.count_nonzero(looked_at) < _LEAST_LOOKED_AT:
        looked_at = scores >= min(_SCORED, np.sort(scores)[-_LEAST_LOOKED_AT:].min())
    chosen = boxes[looked_at & (scores >= 0)].astype(np.float64)
    chosen = chosen[(chosen != 0).any(axis=1)]  # padding
    if not len(chosen):
        return None
    size = np.array([width, height])
    low, high = chosen[:, :2], chosen[:, 2:]
    turned = ((high < low - 1) | ~np.isfinite(low) | ~np.isfinite(high)).any(axis=1)
    if turned.mean() > _FEW:
        return "boxes end before they begin"
    if ((low < -_FAR * size) | (high > (1 + _FAR) * size)).any(axis=1).mean() > _FEW:
        return "boxes are far outside the picture"
    if chosen.max() < _FRACTION and (high > low).any():
        return "boxes are fractions of the picture and no pixels"
    return None

"""Ranges of activations on calibration images: one histogram per tensor, one image in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper

from engines.errors import CalibrationError
from engines.session_options import session_options

_BINS = 4096
_SAMPLE = 1 << 16
"""about how many values of one tensor of one image are counted"""
_PARTS = np.linspace(1 / 16, 1, 121)
"""candidate clipping limits, as fractions of the largest magnitude"""


class Magnitudes:
    """A histogram of magnitudes; its range doubles when a larger value arrives."""

    def __init__(self) -> None:
        self._counts: NDArray[np.int64] = np.zeros(_BINS, np.int64)
        self._limit = 0.0
        self._largest = 0.0

    @property
    def largest(self) -> float:
        """The largest magnitude seen."""
        return self._largest

    def add(self, values: NDArray[np.float32]) -> None:
        """Adds values to the histogram, or an evenly spread sample of them."""
        self._largest = max(self._largest, float(values.max(initial=0)), -float(values.min(initial=0)))
        self._limit = self._limit or self._largest or 1.0
        while self._largest > self._limit:
            self._counts = np.concatenate([self._counts.reshape(-1, 2).sum(axis=1), np.zeros(_BINS // 2, np.int64)])
            self._limit *= 2
        step = values.size // _SAMPLE | 1  # odd, so that it falls on all columns
        sizes = np.abs(values.ravel()[::step]) * np.float32(_BINS / self._limit)
        self._counts += np.bincount(np.minimum(sizes, _BINS - 1).astype(np.int32), minlength=_BINS)

    def best_limit(self, levels: int) -> float:
        """The clipping limit with the smallest squared error when values are rounded to `levels` steps.

        The error includes that of clipped values.
        """
        used = int(np.flatnonzero(self._counts)[-1]) + 1
        middles = (np.arange(_BINS) + 0.5) * self._end(1)
        limits = [self._end(max(1, round(used * part))) for part in _PARTS]
        steps = (np.minimum(np.round(middles / (limit / levels)), levels) * (limit / levels) for limit in limits)
        errors = [float(self._counts @ (middles - rounded) ** 2) for rounded in steps]
        return limits[int(np.argmin(errors))]

    def _end(self, bins: int) -> float:
        """The upper edge of the first `bins` bins."""
        return bins * self._limit / _BINS


def magnitudes(
    model: onnx.ModelProto,
    names: Collection[str],
    images: Iterable[NDArray[Any]],
    progress: Callable[[int], None],
) -> dict[str, Magnitudes]:
    """The magnitudes of the float32 tensors `names` over all images, each [1, ...] as the model takes it.

    `progress` gets the number of images processed. Raises CalibrationError where there are none.
    """
    outputs = list(names)  # the ONNX Runtime for Python 3.10 takes lists only
    observed = onnx.ModelProto()
    observed.CopyFrom(model)
    del observed.graph.output[:]
    observed.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs)
    session = ort.InferenceSession(observed.SerializeToString(), session_options(), providers=["CPUExecutionProvider"])
    images_input = model.graph.input[0]
    dtype = helper.tensor_dtype_to_np_dtype(images_input.type.tensor_type.elem_type)
    found = {name: Magnitudes() for name in names}
    done = 0
    for done, image in enumerate(images, 1):
        fed = image.astype(dtype)  # kept alive: an output that equals the input may share its memory
        for name, values in zip(outputs, session.run(outputs, {images_input.name: fed}), strict=True):
            found[name].add(values)
        progress(done)
    if not done:
        raise CalibrationError("there are no calibration images; 8-bit precisions need some of your own scenes")
    return found

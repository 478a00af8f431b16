"""How a model is to be run, down to the ONNX graphs that every backend is made from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import onnx
import onnxruntime as ort
from onnx import TensorProto

from engines import precision
from engines.build.calibration import model_images, read_set
from engines.errors import CalibrationError
from engines.graphs.compose import canonical_detector
from engines.graphs.preprocess import preprocess_model
from engines.model import Model
from engines.onnx_runtime import batched_body
from engines.pictures import read_picture
from engines.precision import Precision, at_precision

Progress: TypeAlias = Callable[[str, float], None]
"""told what is being done and how much of all that is to do is done, 0 to 1"""

_REWRITING = sorted(Path(precision.__file__).parent.glob("*.py"))
CALIBRATED = frozenset({Precision.INT8, Precision.FP8})


@dataclass(frozen=True, slots=True)
class BuildSpec:
    """A model, the precision that it computes with, and the most pictures of a batch."""

    model: Model
    precision: Precision
    max_batch: int
    calibration: Path | None = None
    """folder of pictures, for INT8 and FP8"""

    def preprocess(self) -> onnx.ModelProto:
        """The preprocess graph, which writes what `detector` reads."""
        model = self.model
        dtype = model.input_type
        if dtype in {TensorProto.FLOAT, TensorProto.FLOAT16}:
            dtype = TensorProto.FLOAT if self.precision is Precision.FP32 else TensorProto.FLOAT16
        return preprocess_model(model.geometry, model.width, model.height, dtype, model.planar)

    def detector(self, progress: Progress) -> onnx.ModelProto:
        """The canonical detector at the precision, for any batch where the model allows it.

        Raises ModelError, PrecisionError and CalibrationError. Calibrating takes minutes.
        """
        progress("reading the model", 0.0)
        detector = canonical_detector(self.model, batched_body(self.model))
        if self.precision not in CALIBRATED:
            return at_precision(detector, self.precision)
        files = read_set(self._folder()).pictures
        images = model_images(self.model, map(read_picture, files))
        return at_precision(detector, self.precision, images, lambda seen: progress("calibrating", seen / len(files)))

    def key(self) -> dict[str, Any]:
        """Everything that `detector` depends on, fit for JSON. Raises CalibrationError."""
        model, calibrated = self.model, self.precision in CALIBRATED
        return {
            "model": model.path.name,
            # as in its file, with its head: opening the batch follows from that and takes a while to check
            "onnx": digest(canonical_detector(model, model.proto)),
            "family": model.family.name,
            "precision": self.precision.value,
            "calibration": read_set(self._folder()).digest if calibrated else None,
            "calibrated_by": f"onnxruntime {ort.__version__}" if calibrated else None,
            "max_batch": self.max_batch,
            # an upgrade of ospreyd builds anew what it changes
            "rewriting": hashlib.sha256(b"".join(file.read_bytes() for file in _REWRITING)).hexdigest(),
        }

    def _folder(self) -> Path:
        if self.calibration is None:
            raise CalibrationError(
                f"{self.precision.value} needs calibration pictures of your own scenes: ospreyd engine build "
                f"--precision {self.precision.value} --calibrate-from a folder, a video or a camera"
            )
        return self.calibration


def digest(model: onnx.ModelProto) -> str:
    """SHA-256 of a model."""
    return hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()

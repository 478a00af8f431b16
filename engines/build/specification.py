"""The build specification of a model: everything that its engines depend on, and the ONNX graphs to build."""

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
from engines.build.calibration import model_inputs, read_calibration_set
from engines.errors import CalibrationError
from engines.graphs.compose import canonical_detector
from engines.graphs.preprocess import preprocess_model
from engines.image_file import read_image
from engines.model import Model
from engines.onnx_runtime import batched_body
from engines.precision import Precision, at_precision

Progress: TypeAlias = Callable[[str, float], None]
"""called with the current step and the fraction of all work that is done, 0 to 1"""

_REWRITING = sorted(Path(precision.__file__).parent.glob("*.py"))
CALIBRATED = frozenset({Precision.INT8, Precision.FP8})


@dataclass(frozen=True, slots=True)
class BuildSpec:
    """A model, its precision and its largest batch."""

    model: Model
    precision: Precision
    max_batch: int
    calibration: Path | None = None
    """folder of calibration images, for INT8 and FP8"""

    def preprocess(self) -> onnx.ModelProto:
        """The preprocess graph; its output is the input of `detector`."""
        model = self.model
        dtype = model.input_type
        if dtype in {TensorProto.FLOAT, TensorProto.FLOAT16}:
            dtype = TensorProto.FLOAT if self.precision is Precision.FP32 else TensorProto.FLOAT16
        return preprocess_model(model.geometry, model.width, model.height, dtype, model.planar)

    def detector(self, progress: Progress) -> onnx.ModelProto:
        """The canonical detector at the precision, with a dynamic batch if the model allows it.

        Raises ModelError, PrecisionError and CalibrationError. Calibrating takes minutes.
        """
        progress("reading the model", 0.0)
        detector = canonical_detector(self.model, batched_body(self.model))
        if self.precision not in CALIBRATED:
            return at_precision(detector, self.precision)
        files = read_calibration_set(self._folder()).files
        images = model_inputs(self.model, map(read_image, files))
        return at_precision(detector, self.precision, images, lambda done: progress("calibrating", done / len(files)))

    def key(self) -> dict[str, Any]:
        """Everything that `detector` depends on, as JSON values. Raises CalibrationError."""
        model, calibrated = self.model, self.precision in CALIBRATED
        return {
            "model": model.path.name,
            # as in its file, with its head: the dynamic batch follows from that, and takes long to verify
            "onnx": digest(canonical_detector(model, model.proto)),
            "family": model.family.name,
            "precision": self.precision.value,
            "calibration": read_calibration_set(self._folder()).digest if calibrated else None,
            "calibrated_by": f"onnxruntime {ort.__version__}" if calibrated else None,
            "max_batch": self.max_batch,
            # an upgrade of ospreyd rebuilds what it changes
            "rewriting": hashlib.sha256(b"".join(file.read_bytes() for file in _REWRITING)).hexdigest(),
        }

    def _folder(self) -> Path:
        if self.calibration is None:
            raise CalibrationError(
                f"{self.precision.value} needs calibration images of your own scenes: ospreyd engine build "
                f"--precision {self.precision.value} --calibrate-from a folder, a video or a camera"
            )
        return self.calibration


def digest(model: onnx.ModelProto) -> str:
    """SHA-256 of a model."""
    return hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()

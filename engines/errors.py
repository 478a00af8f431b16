"""Errors of the engines package.

EngineError
├── ModelError          the model file is missing, broken, ambiguous or not what its settings say
├── LabelsError         the labels are missing, unreadable or fewer than the model's classes
├── ImageError          an image cannot be read or has an unusable shape
├── PrecisionError      the model, TensorRT or GPU does not support the precision
├── CalibrationError    the calibration images are missing, too few or unusable
├── FolderError         the environment names no folder to keep files in
├── CacheError          the folder of engines is unsafe, full or unusable
├── EvaluationError     the annotations or images are missing or do not fit the model
├── BuildError          TensorRT could not build an engine
├── NotPreparedError    something has to be built before the model can run
├── DetectorError       the detector is closed, has no room for a batch, or does not know it
└── BackendError        no usable backend, or the backend failed while running
    └── GpuMemoryError  the GPU has less free memory than is needed
"""


class EngineError(Exception):
    """An error that a user or an operator can fix; the message is one sentence that says how."""


class ModelError(EngineError):
    """The model file is missing, broken, ambiguous or not what its settings say."""


class LabelsError(EngineError):
    """The labels are missing, unreadable or fewer than the model's classes."""


class ImageError(EngineError):
    """An image cannot be read or has an unusable shape."""


class PrecisionError(EngineError):
    """The model, TensorRT or GPU does not support the precision."""


class CalibrationError(EngineError):
    """The calibration images are missing, too few or unusable."""


class FolderError(EngineError):
    """The environment names no folder to keep files in."""


class CacheError(EngineError):
    """The folder of engines is unsafe, full or cannot be used."""


class EvaluationError(EngineError):
    """The annotations or images are missing or do not fit the model."""


class BuildError(EngineError):
    """TensorRT could not build an engine; the message has TensorRT's errors."""


class NotPreparedError(EngineError):
    """Something has to be built before the model can run: it never was, is gone, or was refused by the backend."""


class DetectorError(EngineError):
    """The detector is closed, has no room for a batch, or does not know it."""


class BackendError(EngineError):
    """No backend can run the model here, or the backend failed while running it."""


class GpuMemoryError(BackendError):
    """The GPU has less free memory than is needed."""

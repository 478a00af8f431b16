"""Errors of the engines package.

EngineError
├── ModelError          the model file is missing, broken, ambiguous or not what its settings say
├── LabelsError         the labels are missing, unreadable or fewer than the model's classes
├── ImageError          a picture cannot be read or has an unusable shape
├── PrecisionError      the precision cannot be had with this model, TensorRT or GPU
├── CalibrationError    the calibration pictures are missing, too few or unusable
├── FolderError         the environment names no folder to keep files in
├── CacheError          the folder of engines is unsafe, full or unusable
├── EvaluationError     what accuracy is measured on is missing or does not fit the model
├── BuildError          TensorRT could not build an engine
├── NotPreparedError    something has to be built before the model can run
├── DetectorError       the detector is closed, has no room for a batch, or does not know it
└── BackendError        no usable backend, or the backend failed while running
    └── GpuMemoryError  the GPU has less free memory than is needed
"""


class EngineError(Exception):
    """Something a user or an operator can mend; the message is one sentence that says how."""


class ModelError(EngineError):
    """The model file is missing, broken, ambiguous or not what its settings say."""


class LabelsError(EngineError):
    """The labels are missing, unreadable or fewer than the model's classes."""


class ImageError(EngineError):
    """A picture cannot be read or has an unusable shape."""


class PrecisionError(EngineError):
    """The precision cannot be had with this model, this TensorRT or this GPU."""


class CalibrationError(EngineError):
    """The calibration pictures are missing, too few or unusable."""


class FolderError(EngineError):
    """The environment names no folder to keep files in."""


class CacheError(EngineError):
    """The folder of engines is unsafe, full or cannot be used."""


class EvaluationError(EngineError):
    """What accuracy is measured on is missing or does not fit the model."""


class BuildError(EngineError):
    """TensorRT could not build an engine; the message holds what it said."""


class NotPreparedError(EngineError):
    """Something has to be built before the model can run: it never was, is gone, or was refused by the backend."""


class DetectorError(EngineError):
    """The detector is closed, has no room for a batch, or does not know it."""


class BackendError(EngineError):
    """No backend can run the model here, or the backend failed while running it."""


class GpuMemoryError(BackendError):
    """The GPU has less free memory than is needed."""

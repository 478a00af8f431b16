"""Errors of the engines package.

EngineError
├── ModelError          the model file is missing, broken, ambiguous or not what its settings say
├── LabelsError         the labels are missing, unreadable or fewer than the model's classes
├── ImageError          a picture cannot be read or has an unusable shape
└── BackendError        no usable backend, or the backend failed while running
"""


class EngineError(Exception):
    """Something a user or an operator can mend; the message is one sentence that says how."""


class ModelError(EngineError):
    """The model file is missing, broken, ambiguous or not what its settings say."""


class LabelsError(EngineError):
    """The labels are missing, unreadable or fewer than the model's classes."""


class ImageError(EngineError):
    """A picture cannot be read or has an unusable shape."""


class BackendError(EngineError):
    """No backend can run the model here, or the backend failed while running it."""

"""What is wrong with a backend or a path, as far as it can be told without opening it as a video."""

from __future__ import annotations

from pathlib import Path

import cv2

from daemon.capture.sources.base import SourceError
from daemon.records import Reason


def need_backend(backend: int, otherwise: str) -> None:
    """Raises SourceError with the sentence `otherwise` if this OpenCV has no such backend."""
    if not cv2.videoio_registry.hasBackend(backend):
        raise SourceError(Reason.UNSUPPORTED, otherwise)


def not_accessible(path: Path, error: OSError) -> SourceError:
    """What it means that the system does not give access to a path."""
    if isinstance(error, FileNotFoundError):
        return SourceError(Reason.NOT_FOUND, f"{path} does not exist")
    if isinstance(error, PermissionError):
        return SourceError(Reason.UNAUTHORIZED, f"{path} may not be read by the user of ospreyd")
    return SourceError(Reason.NOT_FOUND, f"{path} cannot be read: {error.strerror}")

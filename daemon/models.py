"""From the configuration's `models` to models that are ready to run."""

from __future__ import annotations

from pathlib import Path

from daemon.config.schema import BUILTIN_MODEL
from engines.model import Model, read_model
from engines.models import street_onnx


def find_model(file: str, family: str, labels: str | None) -> Model:
    """Reads the model that `file` names: a path, or 'street' for the one that ships with ospreyd.

    Raises ModelError and LabelsError.
    """
    path = street_onnx() if file == BUILTIN_MODEL else Path(file)
    return read_model(path, family, labels)

"""Opening a model file as the store says that it is to be read, before it is installed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from daemon.config.model import ModelInput
from daemon.errors import DaemonError, UsageError
from daemon.modelstore.catalogue import Entry
from engines.errors import EngineError
from engines.model import Model, read_model
from engines.records import InputOverride


def override_of(given: Mapping[str, Any], name: str) -> InputOverride:
    """The input of a model as the configuration's `input` has it. Raises UsageError for what that would refuse."""
    try:
        return ModelInput.model_validate(dict(given)).override()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise UsageError(f"{name}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def open_entry(file: Path, entry: Entry) -> Model:
    """Raises DaemonError where the file is not the model that the catalogue describes."""
    try:
        found = read_model(file, entry.family, entry.labels, override_of(entry.input, entry.name))
    except EngineError as error:
        raise DaemonError(f"{entry.name}: the file is as pinned, but cannot be used: {error}") from None
    if (found.height, found.width) != entry.imgsz:
        raise DaemonError(
            f"{entry.name}: the file is as pinned, but its input is {found.width}x{found.height} and not "
            f"{entry.imgsz[1]}x{entry.imgsz[0]}; not installed"
        )
    return found

"""The model options of `ospreyd engine`: which model, and how it runs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from daemon.config.camera import DEFAULT_MODEL
from daemon.config.load import load
from daemon.config.model import Model as ConfiguredModel
from daemon.config.schema import Config
from daemon.errors import UsageError
from daemon.inference.model_config import configured_model, find_model, session_settings
from engines.backends import SessionSettings
from engines.build.cache import EngineCache
from engines.model import NO_OVERRIDE, Model
from engines.postprocess import Thresholds
from engines.precision import Precision
from engines.records import InputOverride

_MAX_BATCH = 8


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """A model, and how it runs."""

    model: Model
    backend: str
    """as given; engines.backends.choose resolves auto"""
    precision: Precision | None
    """None: the backend's default"""
    max_batch: int
    calibration: Path | None
    """folder of calibration images; None: the collected ones"""
    cache: EngineCache

    def settings(self, thresholds: Thresholds) -> SessionSettings:
        """The settings of a session."""
        return SessionSettings(thresholds, self.max_batch, self.precision, self.calibration, cache=self.cache.folder)


def resolve_options(
    *,
    model: str | None,
    family: str | None,
    labels: str | None,
    input_size: str | None,
    config: Path | None,
    backend: str | None,
    precision: Precision | None,
    max_batch: int | None,
    calibration: Path | None,
    cache: Path | None,
) -> ModelOptions:
    """Resolves options; those not given (None) come from the configuration, if there is one.

    Raises UsageError, ConfigError, ModelError, LabelsError and CacheError.
    """
    if config is None:
        found = find_model(model, family or "auto", labels, _with_size(input_size))
        largest = max_batch or _MAX_BATCH
        return ModelOptions(found, backend or "auto", precision, largest, calibration, EngineCache(cache))
    if (family, labels, input_size) != (None, None, None):
        raise UsageError("--family, --labels and --input-size: omit them with --config, which sets them for each model")
    loaded = load(config)
    wanted = _configured(loaded, config, model or DEFAULT_MODEL)
    configured = session_settings(wanted, loaded.inference)
    return ModelOptions(
        model=configured_model(wanted),
        backend=backend or loaded.inference.backend,
        precision=precision or configured.precision,
        max_batch=max_batch or configured.max_batch,
        calibration=calibration or configured.calibration,
        cache=EngineCache(cache or configured.cache),
    )


def _with_size(text: str | None) -> InputOverride:
    """The override for WIDTHxHEIGHT."""
    if text is None:
        return NO_OVERRIDE
    return InputOverride(size=size_of(text))


def size_of(text: str) -> tuple[int, int]:
    """Height and width of WIDTHxHEIGHT. Raises UsageError."""
    found = re.fullmatch(r"([1-9]\d{0,3})x([1-9]\d{0,3})", text)
    if found is None:
        raise UsageError(f"--input-size: must be WIDTHxHEIGHT in pixels, such as 640x480, got {text!r}")
    return int(found[2]), int(found[1])


def _configured(loaded: Config, config: Path, name: str) -> ConfiguredModel:
    if name not in loaded.models:
        raise UsageError(f"--model: {config} has no model {name!r}; it has: {', '.join(loaded.models)}")
    return loaded.models[name]

"""What the options of `ospreyd engine` mean: a model, and how it is to be run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from daemon.config.load import load
from daemon.config.model import BUILTIN_MODEL
from daemon.config.model import Model as ConfiguredModel
from daemon.config.schema import DEFAULT_MODEL, Config
from daemon.errors import UsageError
from daemon.models import configured_model, find_model, lane_settings
from engines.backends import SessionSettings
from engines.build.cache import EngineCache
from engines.model import Model
from engines.postprocess import Thresholds
from engines.precision import Precision

_MAX_BATCH = 8


@dataclass(frozen=True, slots=True)
class Chosen:
    """A model, and how it is to be run."""

    model: Model
    backend: str
    """as asked for; engines.backends.choose says what it means here"""
    precision: Precision | None
    """None: what the backend does best"""
    max_batch: int
    calibration: Path | None
    """folder of pictures; None: those that were collected"""
    cache: EngineCache

    def settings(self, thresholds: Thresholds) -> SessionSettings:
        """The same for a lane."""
        return SessionSettings(thresholds, self.max_batch, self.precision, self.calibration, cache=self.cache.folder)


def chosen(
    *,
    model: str | None,
    family: str | None,
    labels: str | None,
    config: Path | None,
    backend: str | None,
    precision: Precision | None,
    max_batch: int | None,
    calibration: Path | None,
    cache: Path | None,
) -> Chosen:
    """What is not given (None) is as the configuration says, where there is one.

    Raises UsageError, ConfigError, ModelError, LabelsError and CacheError.
    """
    if config is None:
        found = find_model(model or BUILTIN_MODEL, family or "auto", labels)
        return Chosen(found, backend or "auto", precision, max_batch or _MAX_BATCH, calibration, EngineCache(cache))
    if family is not None or labels is not None:
        raise UsageError("--family and --labels: leave them out with --config, which says them for each model")
    loaded = load(config)
    wanted = _configured(loaded, config, model or DEFAULT_MODEL)
    told = lane_settings(wanted, loaded.inference)
    return Chosen(
        model=configured_model(wanted),
        backend=backend or loaded.inference.backend,
        precision=precision or told.precision,
        max_batch=max_batch or told.max_batch,
        calibration=calibration or told.calibration,
        cache=EngineCache(cache or told.cache),
    )


def _configured(loaded: Config, config: Path, name: str) -> ConfiguredModel:
    if name not in loaded.models:
        raise UsageError(f"--model: {config} has no model {name!r}; it has: {', '.join(loaded.models)}")
    return loaded.models[name]

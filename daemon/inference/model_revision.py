"""A model as one configuration, and its files at that time, had it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from daemon.config.difference import difference
from daemon.config.model import BUILTIN_LABELS, BUILTIN_MODEL
from daemon.config.schema import Config
from daemon.inference.model_config import configured_model, session_settings
from daemon.modelstore.advice import get_command
from daemon.records import ModelInfo, ModelState, ModelStatus
from engines.backends import Backend, SessionSettings, precision_of
from engines.model import Model
from engines.text import counted

_log = logging.getLogger("ospreyd")


@dataclass(frozen=True, slots=True, eq=False)
class ModelRevision:
    """A model as one configuration, and the files that it names, had it."""

    name: str
    config: Config
    model: Model
    settings: SessionSettings
    stamps: tuple[tuple[int, int] | None, ...]
    """of its files, so that another file of the same name is noticed"""

    @classmethod
    def read(cls, name: str, config: Config) -> ModelRevision:
        """Raises EngineError, and UsageError where no model is installed."""
        settings = config.models[name]
        stamps = file_stamps(name, config)  # before it is read: a file that changes meanwhile is read once more
        model = configured_model(settings)
        classes = counted(len(model.labels), "class")
        _log.info("model %s: %s, family %s, %s", name, model.path.name, model.family.name, classes)
        if settings.file == BUILTIN_MODEL:
            _log.warning("model %s: the demonstration's knows drawn streets only; for cameras: %s", name, get_command())
        return cls(name, config, model, session_settings(settings, config.inference), stamps)

    def is_of(self, config: Config) -> bool:
        """Whether `read` would give the same now; what failed to take its place is not the same."""
        return self.name not in difference(self.config, config).models and self.stamps == file_stamps(self.name, config)

    def has_same_files(self) -> bool:
        """Whether its files are as they were when it was read."""
        return self.stamps == file_stamps(self.name, self.config)

    def info(self, backend: Backend, status: ModelStatus) -> ModelInfo:
        """What `info` says of it while it is in this state."""
        return ModelInfo(
            file=self.model.path.name,
            family=self.model.family.name,
            width=self.model.width,
            height=self.model.height,
            labels=self.model.labels,
            precision=precision_of(backend, self.settings).value,
            status=status,
        )


def file_stamps(name: str, config: Config) -> tuple[tuple[int, int] | None, ...]:
    """When the files of a model were changed, and their sizes; None of one that is not there."""
    settings = config.models[name]
    named = [settings.file] if settings.file not in (None, BUILTIN_MODEL) else []
    named += [settings.labels] if settings.labels not in (None, BUILTIN_LABELS) else []
    return tuple(_stamp(Path(path)) for path in named)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def detail_of_successor(status: ModelStatus) -> str:
    """The detail of a running model whose successor is being loaded or has failed."""
    if status.state is ModelState.FAILED:
        return f"runs as before; its successor failed: {status.detail}"
    return f"runs until it is replaced: {status.detail}, {status.progress} %"

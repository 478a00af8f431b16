"""An attempt to build and open a revision of a model."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from daemon.errors import UsageError
from daemon.inference.engine_builder import BuildJob
from daemon.inference.model_revision import ModelRevision
from daemon.system.log_states import state_of
from engines.errors import BackendError, EngineError

_log = logging.getLogger("ospreyd")


@dataclass(slots=True, eq=False)
class Attempt:
    """A revision of a model that is being built or opened."""

    revision: ModelRevision
    builds: int = 0
    """build jobs so far"""
    job: BuildJob | None = None
    """the latest build"""


def told(model: str, error: Exception) -> Exception:
    """Why an attempt failed, as users read it; of an error that nobody expects the log has the traceback."""
    if isinstance(error, (EngineError, UsageError)):
        return error
    _log.error("model %s: an unexpected error", model, exc_info=error, extra=state_of("model", model))
    return BackendError(
        f"it cannot be opened because of an unexpected error, see the log: {type(error).__name__}: {error}"
    )

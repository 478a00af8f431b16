"""An attempt to build and open a revision of a model."""

from __future__ import annotations

from dataclasses import dataclass

from daemon.inference.engine_builder import BuildJob
from daemon.inference.model_revision import ModelRevision


@dataclass(slots=True, eq=False)
class Attempt:
    """A revision of a model that is being built or opened."""

    revision: ModelRevision
    builds: int = 0
    """build jobs so far"""
    job: BuildJob | None = None
    """the latest build"""

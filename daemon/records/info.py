"""What the device is and runs, and how its outbox stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class ModelState(str, Enum):
    """Where a model stands."""

    BUILDING = "building"
    """its engine is being built or loaded, or waits for its turn"""
    READY = "ready"
    FAILED = "failed"
    """it will not run before the next start"""


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """How far a model is."""

    state: ModelState
    progress: int | None = None
    """per cent of the building that is done; None unless building"""
    detail: str = ""
    """what is being done, or one sentence that says why it failed"""


WAITING = ModelStatus(ModelState.BUILDING, 0, "waiting")
"""before it is known whether something has to be built"""
LOADING = ModelStatus(ModelState.BUILDING, 100, "loading")
"""while a built model is opened"""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What `…/info` says of a model."""

    file: str
    family: str
    width: int
    """of the model's input, pixels"""
    height: int
    """of the model's input, pixels"""
    labels: tuple[str, ...]
    precision: str
    """fp32, fp16, int8 or fp8; what the model really computes with"""
    status: ModelStatus


@dataclass(frozen=True, slots=True)
class ConfigurationInfo:
    """What `…/info` says of the configuration."""

    loaded_at: float
    """when the one that runs was read, time.monotonic()"""
    errors: tuple[str, ...] = ()
    """why the one that was to take its place last was refused, a sentence each; empty where it was not"""


@dataclass(frozen=True, slots=True)
class DaemonInfo:
    """What `…/info` carries, retained."""

    version: str
    backend: str
    backend_reason: str
    """why this one: one sentence for people"""
    gpu: str | None
    """name; None where none is used"""
    tensorrt: str | None
    """version; None where it is not used"""
    models: Mapping[str, ModelInfo]
    cameras: tuple[str, ...]
    configuration: ConfigurationInfo


@dataclass(frozen=True, slots=True)
class OutboxCounts:
    """How many events an outbox has to do with."""

    waiting: int
    """that the broker has not acknowledged"""
    dropped: int
    """ever, because of max_mb or max_age_hours"""
    problem: str | None = None
    """why events wait in memory only; None where they are on disk"""


@dataclass(frozen=True, slots=True)
class OutboxStatus:
    """What an outbox holds."""

    waiting: int
    """messages"""
    dropped: int
    """messages, ever, because of max_mb or max_age_hours"""
    size: int
    """of the messages and their index, bytes"""
    oldest: float | None
    """hours of running that the oldest message has waited; None where none waits"""

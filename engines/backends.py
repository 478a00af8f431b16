"""Which backends there are, what each needs before it can run, and opening a lane on one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import onnxruntime as ort

from engines.errors import BackendError
from engines.model import Model
from engines.onnx_runtime import OnnxRuntimeLane
from engines.postprocess import Thresholds
from engines.precision import Precision
from engines.records import Lane

BACKENDS = ("auto", "tensorrt", "tensorrt_rtx", "onnxruntime")

Progress: TypeAlias = Callable[[str, float], None]
"""told what is being done and how much of all that is to do is done, 0 to 1"""


@dataclass(frozen=True, slots=True)
class Backend:
    """A backend that works here."""

    name: str
    """tensorrt, tensorrt_rtx or onnxruntime"""
    version: str
    reason: str
    """why this one: one sentence for people"""
    gpu: str | None
    """name of the GPU, None for the CPU backend"""


@dataclass(frozen=True, slots=True)
class LaneSettings:
    """How a model is to be run."""

    thresholds: Thresholds
    max_batch: int = 1
    precision: Precision | None = None
    """None: what the backend does best; FP16 with TensorRT, FP32 on ONNX Runtime"""
    calibration: Path | None = None
    """folder of pictures that INT8 and FP8 are calibrated on"""
    threads: int | None = None
    """CPU threads of ONNX Runtime; None: one a core"""
    cache: Path | None = None
    """folder of built engines; None: cache.default_folder()"""


def choose(wanted: str = "auto") -> Backend:
    """The backend that `wanted` means here: itself, or for 'auto' the fastest that works.

    Raises BackendError where it does not exist or does not work here, with what is missing.
    """
    if wanted not in {"auto", "onnxruntime"}:
        raise BackendError(f"there is no backend {wanted!r}; known: {', '.join(BACKENDS)}")
    return Backend("onnxruntime", ort.__version__, "the only backend that works here", None)


def prepare(backend: Backend, model: Model, settings: LaneSettings, progress: Progress) -> None:
    """Builds whatever `open_lane` needs and the cache does not hold; may take minutes. Safe in several processes.

    Raises EngineError.
    """


def open_lane(backend: Backend, model: Model, settings: LaneSettings) -> Lane:
    """A lane for `model`; belongs to the calling thread. Prepares first where that has not been done.

    Raises EngineError.
    """
    return OnnxRuntimeLane(model, settings.thresholds, settings.max_batch, settings.threads)

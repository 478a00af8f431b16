"""Chooses a backend, prepares a model for it, and opens sessions; opening never builds."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from engines import onnx_runtime
from engines.build.cache import EngineCache
from engines.build.specification import CALIBRATED, BuildSpec, Progress
from engines.errors import BackendError, NotPreparedError
from engines.folders import cache_folder
from engines.model import Model
from engines.onnx_runtime import OnnxRuntimeSession, warn_one_by_one
from engines.postprocess import Thresholds
from engines.precision import Precision
from engines.records import DetectorSession
from engines.tensorrt.backend import FLAVOURS, Gpu, find, gpu, gpu_count
from engines.tensorrt.build import Engines, Target, build_engines, find_engines
from engines.tensorrt.loading import PlanRefusedError, has_kernels

CPU = "onnxruntime"
_ONNX = ".onnx"
BACKENDS = ("auto", "tensorrt", "tensorrt_rtx", CPU)


@dataclass(frozen=True, slots=True)
class Backend:
    """A backend that works here."""

    name: str
    """tensorrt, tensorrt_rtx or onnxruntime"""
    version: str
    reason: str
    """why it was chosen, one sentence"""
    gpu: str | None
    """name of the GPU, None for the CPU backend"""


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """How a model runs."""

    thresholds: Thresholds = field(default_factory=Thresholds)
    max_batch: int = 1
    precision: Precision | None = None
    """None: FP16 with TensorRT, FP32 on ONNX Runtime"""
    calibration: Path | None = None
    """folder of calibration images for INT8 and FP8; None: `collected`"""
    threads: int | None = None
    """CPU threads of ONNX Runtime; None: one per core"""
    cache: Path | None = None
    """folder of built engines; None: folders.cache_folder()"""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A model that is ready to be opened."""

    backend: Backend
    model: Model
    settings: SessionSettings
    engines: Engines | None = None
    """TensorRT's"""
    detector: Path | None = None
    """ONNX file of ONNX Runtime's detector where its precision is not FP32"""


def choose(requested: str = "auto") -> Backend:
    """The requested backend, or for 'auto' the fastest that works here.

    Raises BackendError if it does not exist or does not work here; the message says what is missing.
    """
    _check_known(requested)
    if requested == CPU:
        return Backend(CPU, ort.__version__, "it was asked for", None)
    names = FLAVOURS if requested == "auto" else (requested,)
    try:
        device = gpu()
    except BackendError as error:
        missing = [str(error)]
    else:
        missing = []
        for name in names:
            why_not = _why_not(name, device)
            if why_not is None:
                reason = "it was asked for" if requested == name else f"{name} works with the {device.name} here"
                return Backend(name, find(name).version, reason, device.name)
            missing.append(why_not)
    if requested != "auto":
        raise BackendError(f"the backend {requested} does not work here: {'; '.join(missing)}")
    return Backend(CPU, ort.__version__, f"no TensorRT works here: {'; '.join(missing)}", None)


def gpus(backend: Backend) -> int:
    """How many GPUs the backend could use; 0 for the CPU backend."""
    return 0 if backend.gpu is None else gpu_count()


def prepare(backend: Backend, model: Model, settings: SessionSettings, progress: Progress) -> Prepared:
    """Builds what `open_session` needs and the cache lacks; may take minutes. Safe in several processes.

    Raises EngineError; NotPreparedError if the backend refuses what it has just built.
    """
    spec, cache = _build_spec(backend, model, settings), EngineCache(settings.cache)
    if backend.name == CPU:
        detector = None if spec.precision is Precision.FP32 else _detector(spec, cache, progress)
        return Prepared(backend, model, settings, detector=detector)
    engines = build_engines(spec, _target(backend), cache, progress)
    prepared = Prepared(backend, model, settings, engines=engines)
    if not has_kernels(engines, find(backend.name)):
        progress("compiling kernels", 1.0)
        open_session(prepared).close()
    return prepared


def find_prepared(backend: Backend, model: Model, settings: SessionSettings) -> Prepared | None:
    """The result of `prepare` if it has nothing to build, else None. Raises EngineError."""
    spec, cache = _build_spec(backend, model, settings), EngineCache(settings.cache)
    if backend.name == CPU:
        if spec.precision is Precision.FP32:
            return Prepared(backend, model, settings)
        detector = cache.find(_detector_key(spec), _ONNX)
        return None if detector is None else Prepared(backend, model, settings, detector=detector)
    engines = find_engines(spec, _target(backend), cache)
    if engines is None or not has_kernels(engines, find(backend.name)):
        return None
    return Prepared(backend, model, settings, engines=engines)


def needs_building(backend: Backend, settings: SessionSettings) -> bool:
    """Whether `prepare` may have to build anything for these settings."""
    return backend.name != CPU or precision_of(backend, settings) is not Precision.FP32


def discard_built(backend: Backend, model: Model, settings: SessionSettings, why: str) -> None:
    """Deletes what `prepare` has built for the model alone; sessions that are open go on. Raises EngineError."""
    spec, cache = _build_spec(backend, model, settings), EngineCache(settings.cache)
    if backend.name == CPU:
        built = cache.find(_detector_key(spec), _ONNX)
    else:
        engines = find_engines(spec, _target(backend), cache)
        built = None if engines is None else engines.detector
    if built is not None:
        cache.discard(built, why)


def open_session(prepared: Prepared, frame_sizes: Collection[tuple[int, int]] = ()) -> DetectorSession:
    """A session for a model; builds nothing. Any thread may open it, and another one use it.

    Kernels for frames of `frame_sizes` (height, width) are loaded before it returns instead of by the first batch.
    Raises NotPreparedError if what was built is missing or refused, and deletes it; GpuMemoryError if smaller batches
    may fit; EngineError.
    """
    backend, model, settings = prepared.backend, prepared.model, prepared.settings
    cache = EngineCache(settings.cache)
    if prepared.engines is not None:
        from engines.tensorrt.session import TensorRtSession  # noqa: PLC0415  it needs NVIDIA's CUDA bindings

        engines, tensorrt = prepared.engines, find(backend.name)
        try:
            session = TensorRtSession(model, settings.thresholds, engines, tensorrt, cache, frame_sizes)
        except PlanRefusedError as error:
            for plan in (engines.preprocess, engines.detector):
                cache.discard(plan, str(error))
            raise NotPreparedError(str(error)) from error
        if session.max_batch < settings.max_batch:
            warn_one_by_one(model)
        return session
    detector = None
    if prepared.detector is not None:
        try:
            detector = onnx.load(prepared.detector)
        except OSError as error:
            raise NotPreparedError(f"{prepared.detector}: cannot be read: {error.strerror}") from error
    return OnnxRuntimeSession(model, settings.thresholds, settings.max_batch, settings.threads, detector)


def build_target(requested: str = "auto") -> Target:
    """What engines are built with here: the backend of `choose`, or TensorRT for RTX if there is no GPU.

    Raises BackendError.
    """
    _check_known(requested)
    if requested == CPU:
        raise BackendError("ONNX Runtime needs no engines; there is nothing to build")
    try:
        gpu()
    except BackendError:
        if requested == "tensorrt":
            raise
        return Target(find("tensorrt_rtx"), None)
    backend = choose(requested)
    if backend.name == CPU:
        raise BackendError(backend.reason)
    return _target(backend)


def frame_allocator(backend: Backend) -> Callable[[tuple[int, ...]], NDArray[np.uint8]] | None:
    """Gives memory for frames from which the backend's sessions read without a copy; callable in any thread.

    None where any memory is as good.
    """
    if backend.name == CPU:
        return None
    from engines.tensorrt.frames import allocate_frame  # noqa: PLC0415  it needs NVIDIA's CUDA bindings

    return allocate_frame


def frames_on(backend: Backend) -> int | None:
    """Index of the GPU on which the backend's sessions read frames that were decoded there; None: there is none.

    One that shares the host's memory, as on a Jetson, has a decoder of another kind.
    """
    if backend.name == CPU:
        return None
    from engines.tensorrt.device import use_device  # noqa: PLC0415  it needs NVIDIA's CUDA bindings

    device = use_device()
    return None if device.shares_memory else device.index


def slots(backend: Backend) -> int:
    """The largest number of batches in flight in a session on the backend."""
    if backend.name == CPU:
        return onnx_runtime.SLOTS
    from engines.tensorrt.session import SLOTS  # noqa: PLC0415  it needs NVIDIA's CUDA bindings

    return SLOTS


def precision_of(backend: Backend, settings: SessionSettings) -> Precision:
    """What a session with these settings computes with."""
    return settings.precision or (Precision.FP32 if backend.name == CPU else Precision.FP16)


def _check_known(requested: str) -> None:
    if requested not in BACKENDS:
        raise BackendError(f"there is no backend {requested!r}; known: {', '.join(BACKENDS)}")


def _why_not(name: str, device: Gpu) -> str | None:
    """Why this TensorRT does not work with the GPU; None if it works."""
    try:
        find(name).check_gpu(device)
    except BackendError as error:
        return str(error)
    return None


def collected(cache: Path, model: Model) -> Path:
    """The default folder of a model's calibration images."""
    return cache / "calibration" / model.path.stem


def _build_spec(backend: Backend, model: Model, settings: SessionSettings) -> BuildSpec:
    precision, calibration = precision_of(backend, settings), settings.calibration
    if calibration is None and precision in CALIBRATED:
        found = collected(settings.cache or cache_folder(), model)
        calibration = found if found.is_dir() else None
    return BuildSpec(model, precision, settings.max_batch, calibration)


def _target(backend: Backend) -> Target:
    return Target(find(backend.name), gpu())


def _detector_key(spec: BuildSpec) -> dict[str, Any]:
    return {"part": "detector", **spec.key(), "onnxruntime": ort.__version__}


def _detector(spec: BuildSpec, cache: EngineCache, progress: Progress) -> Path:
    """The ONNX file of the detector at its precision, for ONNX Runtime."""
    return cache.get(_detector_key(spec), _ONNX, lambda: spec.detector(progress).SerializeToString())[0]

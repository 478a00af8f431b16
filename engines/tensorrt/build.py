"""A model's two TensorRT engines, preprocess and detector: from the cache, or built now and kept."""

from __future__ import annotations

import hashlib
import platform
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from engines.build.cache import TIMINGS, EngineCache
from engines.build.specification import BuildSpec, Progress, digest
from engines.errors import ModelError, PrecisionError
from engines.graphs.preprocess import FRAMES, IMAGES
from engines.model import Model
from engines.precision import Precision
from engines.tensorrt import plans
from engines.tensorrt.backend import Gpu, TensorRt
from engines.tensorrt.plans import PlanBuilder, Shapes

PLAN = ".plan"
LARGEST_FRAME = (4320, 7680)
"""rows and columns; 8K UHD"""
FRAME_SHAPES: Shapes = {FRAMES: ((1, 1, 1, 3), (1, 1080, 1920, 3), (1, *LARGEST_FRAME, 3))}
"""one frame at a time: cameras differ in size, and a batch of one size takes the GPU longer than its frames alone"""


@dataclass(frozen=True, slots=True)
class Target:
    """What engines are built with and for."""

    tensorrt: TensorRt
    gpu: Gpu | None
    """None: any GPU, which only TensorRT for RTX can build for"""


@dataclass(frozen=True, slots=True)
class Engines:
    """The built engines of a model."""

    preprocess: Path
    detector: Path
    cached: bool
    """both were there"""
    seconds: float
    """that it took now"""


def build_engines(spec: BuildSpec, target: Target, cache: EngineCache, progress: Progress) -> Engines:
    """The engines of a model, from the cache or built now.

    Raises PrecisionError and ModelError for what cannot be built here, before any time is spent on it;
    CalibrationError, CacheError, and BuildError where TensorRT itself fails.
    """
    began = time.monotonic()
    check_precision(spec.precision, target)
    timings = cache.path(_environment(target), TIMINGS) if target.tensorrt.has_timing_cache else None
    builder = PlanBuilder(target.tensorrt, spec.precision, cache, timings)

    def preprocess() -> bytes:
        return builder.build(spec.preprocess(), FRAME_SHAPES, _part(progress, 0.95, 1.0))

    def detector() -> bytes:
        _check_operators(spec.model, target.tensorrt)
        model = spec.detector(_part(progress, 0.0, 0.5))
        return builder.build(model, _image_shapes(model, spec), _part(progress, 0.5, 0.95))

    detector_plan, had_detector = cache.get(detector_key(spec, target), PLAN, detector)
    preprocess_plan, had_preprocess = cache.get(preprocess_key(spec, target), PLAN, preprocess)
    progress("ready", 1.0)
    return Engines(preprocess_plan, detector_plan, had_preprocess and had_detector, time.monotonic() - began)


def find_engines(spec: BuildSpec, target: Target, cache: EngineCache) -> Engines | None:
    """What `build_engines` would give if it had nothing to build."""
    preprocess = cache.find(preprocess_key(spec, target), PLAN)
    detector = cache.find(detector_key(spec, target), PLAN)
    return None if preprocess is None or detector is None else Engines(preprocess, detector, cached=True, seconds=0.0)


def check_precision(precision: Precision, target: Target) -> None:
    """Refuses what TensorRT or the GPU cannot do, before time is spent on it. Raises PrecisionError."""
    trt = target.tensorrt
    if not trt.can(precision):
        able = ", ".join(p.value for p in Precision if trt.can(p)) or "none"
        where = "" if target.gpu is None else f" on {target.gpu.name}"
        raise PrecisionError(f"{trt.name} {trt.version}{where} cannot build {precision.value}; it can: {able}")


def preprocess_key(spec: BuildSpec, target: Target) -> dict[str, Any]:
    """Everything that the preprocess engine depends on."""
    return {
        "part": "preprocess",
        "model": spec.model.path.name,
        "onnx": digest(spec.preprocess()),
        **_environment(target),
    }


def detector_key(spec: BuildSpec, target: Target) -> dict[str, Any]:
    """Everything that the detector engine depends on. Raises CalibrationError."""
    return {"part": "detector", **spec.key(), **_environment(target)}


def _environment(target: Target) -> dict[str, Any]:
    gpu = target.gpu
    return {
        "tensorrt": f"{target.tensorrt.name} {target.tensorrt.version}",
        "tf32": target.tensorrt.tf32,
        "gpu": None if gpu is None else [gpu.name, *gpu.compute_capability, gpu.multiprocessors, gpu.memory],
        "system": f"{platform.system()} {platform.machine()}",
        # shapes and builder flags are in these files; an upgrade of ospreyd rebuilds what it changes
        "building": hashlib.sha256(Path(__file__).read_bytes() + Path(plans.__file__).read_bytes()).hexdigest(),
    }


def _check_operators(model: Model, trt: TensorRt) -> None:
    """Refuses a model with an operator that is known to be missing somewhere, and is missing here."""
    for node in model.proto.graph.node:
        if not trt.runs(node.op_type):
            raise ModelError(
                f"{model.path}: {trt.name} {trt.version} cannot run its operator {node.op_type}"
                f"{f' (node {node.name})' if node.name else ''}; export the model without NMS, as raw outputs, "
                "or set the backend to onnxruntime"
            )


def _image_shapes(detector: onnx.ModelProto, spec: BuildSpec) -> Shapes:
    """The typical batch is the largest: it is where throughput matters."""
    model = spec.model
    most = detector.graph.input[0].type.tensor_type.shape.dim[0].dim_value or spec.max_batch
    # from the model, since the file may leave them open
    picture = (3, model.height, model.width) if model.planar else (model.height, model.width, 3)
    return {IMAGES: ((min(1, most), *picture), (most, *picture), (most, *picture))}


def _part(progress: Progress, start: float, end: float) -> Progress:
    return lambda what, fraction: progress(what, start + (end - start) * fraction)

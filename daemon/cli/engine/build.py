"""`ospreyd engine build`: builds a model's engines before they are needed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from daemon.cli.engine.model_options import ModelOptions, resolve_options
from daemon.cli.options import (
    AnyBackend,
    AnyBatch,
    AnyFamily,
    AnyModel,
    AnyPrecision,
    Cache,
    Configuration,
    InputSize,
    Json,
    Labels,
)
from daemon.cli.output import print_json, progress_bar
from daemon.config.camera import Camera
from daemon.config.load import load
from daemon.errors import UsageError
from daemon.tools.collect import collect
from engines.backends import SessionSettings, build_target, choose, collected, prepare
from engines.build.calibration import add_images
from engines.build.specification import BuildSpec
from engines.evaluate.verify import EVERY_CANDIDATE
from engines.precision import Precision
from engines.tensorrt.build import Engines, Target, build_engines, check_precision

_STREAMS = ("rtsp://", "rtsps://", "http://", "https://")


def build(
    model: AnyModel = None,
    family: AnyFamily = None,
    labels: Labels = None,
    input_size: InputSize = None,
    config: Configuration = None,
    backend: AnyBackend = None,
    precision: AnyPrecision = None,
    max_batch: AnyBatch = None,
    calibrate_from: Annotated[
        str | None,
        typer.Option(help="For int8 and fp8: a folder of images, a video, a stream or a camera of --config."),
    ] = None,
    frames: Annotated[int, typer.Option(min=1, help="How many to take from a video, stream or camera.")] = 300,
    every: Annotated[float, typer.Option(min=0, help="Seconds between two frames of a stream or camera.")] = 1.0,
    cache: Cache = None,
    as_json: Json = False,
) -> None:
    """Builds the preprocess and the detector engine of a model, unless the cache has them."""
    folder = Path(calibrate_from) if calibrate_from is not None and Path(calibrate_from).is_dir() else None
    options = resolve_options(
        model=model, family=family, labels=labels, input_size=input_size, config=config, backend=backend,
        precision=precision, max_batch=max_batch, calibration=folder, cache=cache,
    )  # fmt: skip
    target, wanted = build_target(options.backend), options.precision or Precision.FP16
    check_precision(wanted, target)
    images = options.calibration or collected(options.cache.folder, options.model)
    with progress_bar() as progress:
        if calibrate_from is not None and folder is None:
            if wanted not in (Precision.INT8, Precision.FP8):
                raise UsageError(f"--calibrate-from: {wanted.value} needs no images; add --precision int8")
            camera = _camera(calibrate_from, config)
            add_images(images, collect(camera, frames, every, lambda f: progress("collecting images", f)))
        folder = images if images.is_dir() else options.calibration
        spec = BuildSpec(options.model, wanted, options.max_batch, folder)
        engines = build_engines(spec, target, options.cache, progress)
        if target.gpu is not None:  # compiles the kernels, so that the first start need not
            settings = SessionSettings(EVERY_CANDIDATE, options.max_batch, wanted, spec.calibration, cache=cache)
            prepare(choose(target.tensorrt.name), options.model, settings, progress)
    report = _report(options, spec, engines, target)
    if as_json:
        print_json(report)
    else:
        typer.echo(_text(report))


def _camera(name: str, config: Path | None) -> Camera:
    """The camera for a video file, the address of a stream or the name of a configured camera."""
    if Path(name).is_file() or name.startswith(_STREAMS):
        return Camera(source=name)
    if config is None:
        raise UsageError(f"--calibrate-from: there is no folder or video {name!r}; a camera needs --config too")
    cameras = load(config).cameras
    if name not in cameras:
        raise UsageError(f"--calibrate-from: {config} has no camera {name!r}; it has: {', '.join(cameras)}")
    return cameras[name]


def _report(options: ModelOptions, spec: BuildSpec, engines: Engines, target: Target) -> dict[str, Any]:
    return {
        "model": options.model.path.name,
        "preprocess": _part(options, engines.preprocess, target),
        "detector": _part(options, engines.detector, target),
        "cached": engines.cached,
        "seconds": round(engines.seconds, 3),
        "precision": spec.precision.value,
        "max_batch": spec.max_batch,
        "tensorrt": f"{target.tensorrt.name} {target.tensorrt.version}",
        "gpu": None if target.gpu is None else target.gpu.name,
    }


def _part(options: ModelOptions, plan: Path, target: Target) -> dict[str, Any]:
    entry = next(entry for entry in options.cache.entries() if entry.path == plan)
    memory = None
    if target.gpu is not None:
        from engines.tensorrt.inspect import inspect  # noqa: PLC0415  it needs NVIDIA's CUDA bindings

        memory = inspect(plan, target.tensorrt, options.cache).device_memory
    return {
        "path": str(plan),
        "bytes": plan.stat().st_size,
        "build_seconds": entry.seconds,
        "device_memory": memory,
    }


def _text(report: dict[str, Any]) -> str:
    verb, gpu = "found" if report["cached"] else "built", report["gpu"] or "any GPU"
    how = f"{report['precision']}, batch 1 to {report['max_batch']}, {report['tensorrt']}, {gpu}"
    lines = [f"{report['model']}: {verb} in {report['seconds']:.1f} s, {how}"]
    for name in ("preprocess", "detector"):
        part = report[name]
        memory = "" if part["device_memory"] is None else f", {part['device_memory'] / 1e6:.0f} MB on the GPU"
        lines.append(f"  {name:<10}  {part['bytes'] / 1e6:6.1f} MB{memory}  {part['path']}")
    return "\n".join(lines)

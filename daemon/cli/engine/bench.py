"""`ospreyd engine bench`: throughput and latency of a model's detector engine alone."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli.engine.model_options import resolve_options
from daemon.cli.options import (
    AnyBackend,
    AnyBatch,
    AnyFamily,
    AnyModel,
    AnyPrecision,
    Cache,
    Calibration,
    Configuration,
    InputSize,
    Json,
    Labels,
)
from daemon.cli.output import print_columns, print_json, progress_bar
from engines.backends import CPU, choose, precision_of, prepare
from engines.errors import BackendError
from engines.evaluate.verify import EVERY_CANDIDATE
from engines.tensorrt.backend import find

if TYPE_CHECKING:
    from engines.tensorrt.measure import Speed


def bench(
    model: AnyModel = None,
    family: AnyFamily = None,
    labels: Labels = None,
    input_size: InputSize = None,
    config: Configuration = None,
    backend: AnyBackend = None,
    precision: AnyPrecision = None,
    max_batch: AnyBatch = None,
    calibration: Calibration = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="For each figure.")] = 1.0,
    cache: Cache = None,
    as_json: Json = False,
) -> None:
    """Measures throughput and latency for batches of 1, 2, 4 … images, with and without CUDA graphs."""
    options = resolve_options(
        model=model, family=family, labels=labels, input_size=input_size, config=config, backend=backend,
        precision=precision, max_batch=max_batch, calibration=calibration, cache=cache,
    )  # fmt: skip
    chosen, settings = choose(options.backend), options.settings(EVERY_CANDIDATE)
    with progress_bar() as progress:
        prepared = None if chosen.name == CPU else prepare(chosen, options.model, settings, progress)
    if prepared is None or prepared.engines is None:
        raise BackendError(f"{chosen.reason}; engine bench measures TensorRT engines only")
    from engines.tensorrt.measure import measure  # noqa: PLC0415  it needs NVIDIA's CUDA bindings

    sizes = [size for size in (1, 2, 4, 8, 16, 32, 64) if size <= options.max_batch]
    speeds = measure(prepared.engines.detector, find(chosen.name), options.cache, sizes, seconds)
    report = {
        "model": options.model.path.name,
        "backend": f"{chosen.name} {chosen.version}",
        "gpu": chosen.gpu,
        "precision": precision_of(chosen, settings).value,
        "speeds": [asdict(speed) for speed in speeds],
    }
    if as_json:
        print_json(report)
    else:
        typer.echo(f"{report['model']}, {report['backend']}, {report['precision']}, {report['gpu']}")
        print_columns(("batch", "CUDA graph", "images/s", "latency ms", "host ms"), [_row(speed) for speed in speeds])


def _row(speed: Speed) -> list[str]:
    figures = f"{speed.throughput:.0f}", f"{speed.latency * 1e3:.3f}", f"{speed.host * 1e3:.4f}"
    return [str(speed.batch), "yes" if speed.graph else "no", *figures]

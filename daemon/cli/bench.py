"""`ospreyd bench`: the pipeline against the model alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from daemon.bench import BenchSettings
from daemon.bench import bench as measure
from daemon.cli.options import Family, Json, Labels, ModelFile
from daemon.cli.output import print_json
from daemon.config.model import BUILTIN_MODEL
from daemon.models import find_model
from engines.image_file import read_image
from engines.models.street import StreetScene


def bench(
    model: ModelFile = BUILTIN_MODEL,
    family: Family = "auto",
    labels: Labels = None,
    picture: Annotated[
        list[Path] | None, typer.Option(help="Pictures to feed; default: eight of the demonstration street.")
    ] = None,
    width: Annotated[int, typer.Option(min=16, help="Of the demonstration street, pixels.")] = 1280,
    height: Annotated[int, typer.Option(min=16, help="Of the demonstration street, pixels.")] = 720,
    batch: Annotated[int, typer.Option(min=1, help="Frames that go through the model together.")] = 8,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads of the model; default: one a core.")] = None,
    confidence: Annotated[float, typer.Option(min=0, max=1, help="Least score.")] = 0.4,
    seconds: Annotated[float, typer.Option(min=0.5, help="Of each turn.")] = 5.0,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of model alone and pipeline.")] = 5,
    as_json: Json = False,
) -> None:
    """Measures frames/s of the pipeline with frames in memory against the model alone, and where the rest goes."""
    loaded = find_model(model, family, labels)
    if picture:
        pictures = [read_image(path) for path in picture]
    else:
        scene = StreetScene(width, height, seed=1)
        pictures = [scene.render(t)[0] for t in range(8)]
    settings = BenchSettings(batch, threads or os.cpu_count() or 1, seconds, rounds, confidence)
    report = measure(loaded, pictures, settings)
    if as_json:
        print_json(report)
    else:
        _show(report)


def _show(report: dict[str, Any]) -> None:
    console = Console()
    console.print(
        f"{report['model']}  {', '.join(report['frames'])} frames, batch {report['batch']}, {report['threads']} threads"
    )
    console.print(
        f"model alone {report['model_alone_fps']:.1f} frames/s, pipeline {report['pipeline_fps']:.1f} frames/s, "
        f"ratio {report['ratio']:.3f} (median of {len(report['rounds'])} rounds)"
    )
    table = Table("stage", "p50 ms", "p95 ms", "p99 ms", title="latency of one frame at a time")
    for stage, p in report["latency_ms"].items():
        table.add_row(stage, *(f"{p[key]:.2f}" for key in ("p50", "p95", "p99")))
    console.print(table)
    table = Table("part", "µs a frame", title="cost outside decoding and the model")
    for part, value in report["overhead_us_per_frame"].items():
        table.add_row(part, f"{value:.0f}")
    console.print(table)

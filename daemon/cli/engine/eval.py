"""`ospreyd engine eval`: COCO mAP, to know what a precision costs before it is deployed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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
from daemon.cli.output import print_json, progress_bar
from engines.backends import choose, open_session, precision_of, prepare
from engines.evaluate.accuracy import COCO_THRESHOLDS, coco_accuracy
from engines.text import counted


def evaluate(
    annotations: Annotated[Path, typer.Option(help="COCO annotations (instances JSON).", show_default=False)],
    images: Annotated[Path, typer.Option(help="Folder of the images that they name.", show_default=False)],
    model: AnyModel = None,
    family: AnyFamily = None,
    labels: Labels = None,
    input_size: InputSize = None,
    config: Configuration = None,
    backend: AnyBackend = None,
    precision: AnyPrecision = None,
    max_batch: AnyBatch = None,
    calibration: Calibration = None,
    cache: Cache = None,
    as_json: Json = False,
) -> None:
    """Measures COCO mAP of a model on labelled images; categories are matched by name."""
    options = resolve_options(
        model=model, family=family, labels=labels, input_size=input_size, config=config, backend=backend,
        precision=precision, max_batch=max_batch, calibration=calibration, cache=cache,
    )  # fmt: skip
    chosen, settings = choose(options.backend), options.settings(COCO_THRESHOLDS)
    with progress_bar() as progress:
        session = open_session(prepare(chosen, options.model, settings, progress))
        try:
            accuracy = coco_accuracy(
                session, options.model.labels, annotations, images, lambda done: progress("evaluating", done)
            )
        finally:
            session.close()
    report = {
        "model": options.model.path.name,
        "backend": f"{chosen.name} {chosen.version}",
        "precision": precision_of(chosen, settings).value,
        "images": accuracy.images,
        "mAP50_95": round(accuracy.map50_95, 4),
        "mAP50": round(accuracy.map50, 4),
        "AP50": {name: round(value, 4) for name, value in accuracy.ap50.items()},
    }
    if as_json:
        print_json(report)
    else:
        typer.echo(
            f"{report['model']}, {report['backend']}, {report['precision']}: mAP50-95 {accuracy.map50_95:.4f}, "
            f"mAP50 {accuracy.map50:.4f} on {counted(accuracy.images, 'image')}"
        )

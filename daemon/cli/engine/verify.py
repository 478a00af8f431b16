"""`ospreyd engine verify`: compares a backend with FP32 on ONNX Runtime, image by image."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import numpy as np
import typer
from numpy.typing import NDArray

from daemon.capture.sources.base import SourceError
from daemon.capture.sources.folder import pictures_in
from daemon.cli.engine.model_options import ModelOptions, resolve_options
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
from daemon.errors import EXIT_FAILURE, UsageError
from engines.backends import CPU, Backend, Prepared, SessionSettings, choose, open_session, precision_of, prepare
from engines.build.specification import Progress
from engines.evaluate.verify import EVERY_CANDIDATE, Comparison, GraphReference, OutputError, compare
from engines.image_file import read_image
from engines.model import Model
from engines.precision import Precision
from engines.records import Detections
from engines.text import counted

_OVERLAP = 0.45
"""IoU threshold of NMS"""
_Row: TypeAlias = tuple[Path, Comparison, OutputError]


def verify(
    images: Annotated[
        list[Path],
        typer.Argument(help="Image files or folders of them, ideally of your own scenes.", show_default=False),
    ],
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
    """Compares detections with FP32 on ONNX Runtime; exit code 1 if one with a score of 0.5 or more differs."""
    options = resolve_options(
        model=model, family=family, labels=labels, input_size=input_size, config=config, backend=backend,
        precision=precision, max_batch=max_batch, calibration=calibration, cache=cache,
    )  # fmt: skip
    chosen = choose(options.backend)
    with progress_bar() as progress:
        rows = _compare(options, chosen, _files(images), progress)
    agrees = all(comparison.agrees for _, comparison, _ in rows)
    report = {
        "model": options.model.path.name,
        "backend": f"{chosen.name} {chosen.version}",
        "precision": precision_of(chosen, options.settings(EVERY_CANDIDATE)).value,
        "agrees": agrees,
        "images": [_plain(*row) for row in rows],
    }
    if as_json:
        print_json(report)
    else:
        _show(rows, f"{report['model']}, {report['backend']}, {report['precision']} against FP32 on ONNX Runtime")
    if not agrees:
        raise typer.Exit(EXIT_FAILURE)


def _files(given: Sequence[Path]) -> list[Path]:
    try:
        return [file for path in given for file in (pictures_in(path) if path.is_dir() else [path])]
    except SourceError as error:
        raise UsageError(str(error)) from None


def _compare(options: ModelOptions, chosen: Backend, files: Sequence[Path], progress: Progress) -> list[_Row]:
    settings = options.settings(EVERY_CANDIDATE)
    prepared = prepare(chosen, options.model, settings, progress)
    rows: list[_Row] = []
    session = open_session(prepared)
    try:
        with _reference(chosen, options.model) as reference:
            seen = compare(reference, session, map(read_image, files), _OVERLAP if options.model.family.nms else None)
            for file, (comparison, error) in zip(files, seen, strict=True):
                rows.append((file, comparison, error))
                progress("comparing", len(rows) / len(files))
    finally:
        session.close()
    return rows


@contextmanager
def _reference(chosen: Backend, model: Model) -> Iterator[Callable[[NDArray[np.uint8]], Detections]]:
    """FP32 on ONNX Runtime with the preprocessing of the backend, so that only the detector differs."""
    if chosen.name != CPU:
        yield GraphReference(model)
        return
    settings = SessionSettings(EVERY_CANDIDATE, precision=Precision.FP32)
    session = open_session(Prepared(chosen, model, settings))
    try:
        yield lambda picture: session.collect(session.submit([picture])).detections[0]
    finally:
        session.close()


def _plain(file: Path, comparison: Comparison, error: OutputError) -> dict[str, Any]:
    return {
        "image": str(file),
        "expected": comparison.expected,
        "missed": comparison.missed,
        "unexpected": comparison.unexpected,
        "ties": comparison.ties,
        "worst_iou": round(comparison.worst_iou, 4),
        "worst_score_difference": round(comparison.worst_score, 4),
        "output_score_error": round(error.score, 4),
        "output_box_error": round(error.box, 2),
    }


def _show(rows: Sequence[_Row], title: str) -> None:
    typer.echo(title)
    counts, errors = ("expected", "missed", "unexpected", "ties"), ("worst IoU", "score off", "output score off")
    print_columns(("image", *counts, *errors, "box off px"), [_columns(*row) for row in rows])
    different = sum(not c.agrees for _, c, _ in rows)
    if different:
        typer.echo(f"{different} of {counted(len(rows), 'image')} {'differs' if different == 1 else 'differ'}")
    else:
        typer.echo("the image agrees" if len(rows) == 1 else f"all {len(rows)} images agree")


def _columns(file: Path, comparison: Comparison, error: OutputError) -> list[str]:
    c = comparison
    worst = f"{c.worst_iou:.3f}", f"{c.worst_score:.3f}", f"{error.score:.4f}", f"{error.box:.2f}"
    return [file.name, str(c.expected), str(c.missed), str(c.unexpected), str(c.ties), *worst]

"""`ospreyd detect`: finds objects in image files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

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
from daemon.config.credentials import without_credentials
from daemon.errors import EXIT_USAGE, UsageError
from daemon.media.draw import annotate
from daemon.system.logs import say_error
from engines.backends import choose, prepare
from engines.detector import Detection, Detector
from engines.errors import ImageError
from engines.image_file import read_image
from engines.postprocess import Thresholds
from engines.records import Detections
from engines.text import counted


def detect(
    images: Annotated[list[Path], typer.Argument(help="Image files (JPEG, PNG, …).", show_default=False)],
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
    confidence: Annotated[float, typer.Option(min=0, max=1, help="Lowest score.")] = Thresholds().confidence,
    iou: Annotated[float, typer.Option(min=0, max=1, help="IoU threshold of NMS.")] = Thresholds().iou,
    as_json: Json = False,
    save: Annotated[Path | None, typer.Option(help="Folder for annotated images, numbered in the order given.")] = None,
) -> None:
    """Finds objects in images; an image that cannot be read is reported and the others are still processed."""
    options = resolve_options(
        model=model, family=family, labels=labels, input_size=input_size, config=config, backend=backend,
        precision=precision, max_batch=max_batch or (1 if config is None else None), calibration=calibration,
        cache=cache,
    )  # fmt: skip
    loaded, chosen = options.model, choose(options.backend)
    settings = options.settings(Thresholds(confidence, iou))
    with progress_bar() as progress:
        prepare(chosen, loaded, settings, progress)
    report: list[dict[str, Any]] = []
    failed = False
    with Detector(loaded, chosen, settings) as detector:
        for path in images:
            try:
                image = read_image(path)
            except ImageError as error:
                failed = True
                say_error(f"ospreyd: {without_credentials(str(error))}")
                continue
            found = detector.detect(image)
            report.append(_entry(path, image, found))
            if not as_json:
                typer.echo(_lines(report[-1]))
            if save is not None:
                _save(save, f"{len(report):03}-{path.stem}.png", annotate(image, _arrays(found), loaded.labels))
    if as_json:
        print_json(report)
    if failed:
        raise typer.Exit(EXIT_USAGE)


def _entry(path: Path, image: NDArray[np.uint8], found: Sequence[Detection]) -> dict[str, Any]:
    height, width = image.shape[:2]
    detections = [
        {"label": d.label, "class_id": d.class_id, "score": round(d.score, 4), "box": [round(v, 2) for v in d.box]}
        for d in found
    ]
    return {"image": str(path), "width": width, "height": height, "detections": detections}


def _arrays(found: Sequence[Detection]) -> Detections:
    return Detections(
        boxes=np.array([d.box for d in found], np.float32).reshape(-1, 4),
        scores=np.array([d.score for d in found], np.float32),
        labels=np.array([d.class_id for d in found], np.int32),
    )


def _save(folder: Path, name: str, image: NDArray[np.uint8]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(cv2.imencode(".png", image)[1].tobytes())
    except OSError as error:
        raise UsageError(f"{folder / name}: cannot be written: {error.strerror}; choose another --save") from None


def _lines(entry: dict[str, Any]) -> str:
    head = f"{entry['image']}  {entry['width']}x{entry['height']}  {counted(len(entry['detections']), 'object')}"
    rows = (
        f"  {d['label']:<16} {d['score']:.2f}  [{', '.join(f'{v:.0f}' for v in d['box'])}]" for d in entry["detections"]
    )
    return "\n".join([head, *rows])

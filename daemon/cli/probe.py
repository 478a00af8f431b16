"""`ospreyd probe`: what one source gives, or why it gives nothing."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import cv2
import typer
from pydantic import ValidationError

from daemon.analysis.geometry import View
from daemon.capture.sources.base import Source, SourceError, grab_usable
from daemon.capture.sources.decoder import decided_for
from daemon.capture.sources.open import open_source
from daemon.cli.options import Json
from daemon.cli.output import print_json
from daemon.config.camera import Camera
from daemon.config.credentials import shown_source
from daemon.config.json_schema import field_schema
from daemon.config.load import load
from daemon.config.section import MISTAKE, MISTAKEN_VALUE
from daemon.config.sentences import requirement
from daemon.errors import EXIT_USAGE, UsageError
from daemon.media.area_drawing import draw_areas
from engines.pictures import Image


def probe(
    source: Annotated[
        str,
        typer.Argument(
            help="rtsp://…, http(s)://…, /dev/video0 or 0, a file, a folder, a pipeline; a name in --config.",
            show_default=False,
        ),
    ],
    transport: Annotated[str, typer.Option(help="tcp or udp, of RTSP.")] = "tcp",
    hw_acceleration: Annotated[str, typer.Option(help="auto, none, nvdec, any, vaapi or mfx.")] = "auto",
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for the first frame.")] = 10.0,
    seconds: Annotated[float, typer.Option(min=0, help="How long to count the frames of a live source.")] = 2.0,
    save: Annotated[Path | None, typer.Option(help="Picture file for the first frame; .jpg, .png, …")] = None,
    config: Annotated[
        Path | None, typer.Option(help="Take the camera from this file; its zones and lines are drawn on the picture.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Opens a source as a camera's and says what it gives; exit code 2 where that is nothing."""
    if config is None:
        camera = _camera(source=source, transport=transport, hw_acceleration=hw_acceleration, open_timeout=timeout)
        backend = "auto"
    else:
        camera, backend = _configured(config, source)
        source = camera.source
    try:
        report, picture = _report(decided_for(camera, backend), seconds)
    except SourceError as error:
        if not as_json:
            raise UsageError(f"{shown_source(source)}: {error.reason.value}: {error}") from None
        print_json({"source": shown_source(source), "reason": error.reason.value, "detail": str(error)})
        raise typer.Exit(EXIT_USAGE) from None
    if save is not None:
        height, width = picture.shape[:2]
        view = View(width, height, camera.crop or (0.0, 0.0, 1.0, 1.0))
        _save(save, draw_areas(picture, camera, view.pixels))
    if as_json:
        print_json(report)
    else:
        typer.echo(_text(report))


def _configured(config: Path, name: str) -> tuple[Camera, str]:
    """The camera, and `inference.backend`."""
    found = load(config)
    if name not in found.cameras:
        raise UsageError(f"{config} has no camera {name!r} (it has: {', '.join(found.cameras)})")
    return found.cameras[name], found.inference.backend


def _camera(**settings: object) -> Camera:
    try:
        return Camera.model_validate(settings)
    except ValidationError as invalid:
        error = invalid.errors()[0]
        key = str(error["loc"][0])
    wrong = (
        error["msg"] if error["type"] in (MISTAKE, MISTAKEN_VALUE) else requirement(field_schema(("cameras", "", key)))
    )
    name = "the source" if key == "source" else f"--{key.replace('_', '-')}"
    raise UsageError(f"{name}: {wrong}")


def _report(camera: Camera, seconds: float) -> tuple[dict[str, Any], Image]:
    """What the source gives, ready for JSON, and its first picture. Raises SourceError."""
    began = time.monotonic()
    with closing(open_source(camera)) as source:
        grab_usable(source)
        picture = source.retrieve(None).host()
        first = time.monotonic() - began
        measured = _rate(source, seconds) if source.due is None else None
        stream, fallback = source.stream(), source.fallback
    height, width = picture.shape[:2]
    return {
        "source": shown_source(camera.source),
        "width": width,
        "height": height,
        **asdict(stream),
        "fallback": fallback,
        "measured_fps": measured,
        "first_frame": round(first, 3),
    }, picture


def _rate(source: Source, seconds: float) -> float | None:
    """Frames a second that really come, counted from one frame to another."""
    frames, began = 0, time.monotonic()
    elapsed = 0.0
    while elapsed < seconds:
        source.grab()
        frames += 1
        elapsed = time.monotonic() - began
    return round(frames / elapsed, 2) if frames else None


def _save(file: Path, picture: Image) -> None:
    try:
        encoded = cv2.imencode(file.suffix, picture)[1].tobytes()
    except cv2.error:
        raise UsageError(f"--save: {file} has no ending of a picture format, such as .jpg or .png") from None
    try:
        file.write_bytes(encoded)
    except OSError as error:
        raise UsageError(f"--save: {file} cannot be written: {error.strerror}") from None


def _text(report: dict[str, Any]) -> str:
    fps, measured, duration = report["fps"], report["measured_fps"], report["duration"]
    rates = ["not announced" if fps is None else f"{fps:.4g} frames/s announced"]
    rates += [] if measured is None else [f"{measured:.4g} measured"]
    accelerated = "the CPU" if report["hw_acceleration"] == "none" else report["hw_acceleration"]
    rows = [
        ("picture", f"{report['width']}x{report['height']}"),
        ("rate", ", ".join(rates)),
        *([] if duration is None else [("length", f"{duration:.1f} s")]),
        ("codec", report["codec"] or "unknown"),
        ("backend", f"{report['backend']}, decoded by {accelerated}"),
        *([] if report["fallback"] is None else [("fallback", report["fallback"])]),
        ("first frame", f"after {report['first_frame']:.2f} s"),
    ]
    return "\n".join([report["source"], *(f"  {name:<13}{value}" for name, value in rows)])

"""`ospreyd doctor`: what this machine has, what is missing, and the command that mends it."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import cv2
import typer

from daemon import __version__
from daemon.cli.options import Json
from daemon.cli.output import print_json
from daemon.config.load import load
from daemon.errors import EXIT_NO_BACKEND
from engines.backends import BACKENDS, choose
from engines.cache import EngineCache, default_folder
from engines.errors import BackendError, CacheError


def doctor(
    config: Annotated[
        Path | None, typer.Argument(help="Configuration whose backend and cache are looked at.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Says what ospreyd would run on here, and why; exit code 3 if nothing works."""
    inference = None if config is None else load(config).inference
    report: dict[str, Any] = {
        "ospreyd": __version__,
        "system": {"os": platform.platform(), "cpus": os.cpu_count(), "python": platform.python_version()},
        "opencv": {
            "version": cv2.__version__,
            "ffmpeg": cv2.videoio_registry.hasBackend(cv2.CAP_FFMPEG),
            "gstreamer": cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER),
        },
        "backends": {name: _backend(name) for name in BACKENDS if name != "auto"},
        "chosen": _backend("auto" if inference is None else inference.backend),
        "cache": _cache(inference.cache if inference and inference.cache else default_folder()),
    }
    if as_json:
        print_json(report)
    else:
        typer.echo(_text(report))
    if report["chosen"]["problem"] is not None:
        raise typer.Exit(EXIT_NO_BACKEND)


def _backend(wanted: str) -> dict[str, Any]:
    try:
        return {**asdict(choose(wanted)), "problem": None}
    except BackendError as error:
        return {"name": wanted, "version": None, "reason": None, "gpu": None, "problem": str(error)}


def _cache(folder: Path) -> dict[str, Any]:
    """Of a folder that is not there yet nothing is said but where it will be: looking makes nothing."""
    found: dict[str, Any] = {"folder": str(folder), "engines": 0, "bytes": 0, "problem": None}
    if folder.exists():
        try:
            entries = EngineCache(folder).entries()
        except CacheError as error:
            found["problem"] = str(error)
        else:
            found.update(engines=len(entries), bytes=sum(entry.size for entry in entries))
    return found


def _text(report: dict[str, Any]) -> str:
    system, opencv, chosen, cache = (report[part] for part in ("system", "opencv", "chosen", "cache"))
    rows = [
        ("ospreyd", report["ospreyd"]),
        ("system", f"{system['os']}, {system['cpus']} CPUs, Python {system['python']}"),
        (
            "opencv",
            f"{opencv['version']}, {_with('FFmpeg', opencv['ffmpeg'])}, {_with('GStreamer', opencv['gstreamer'])}",
        ),
        *((name, _works(found)) for name, found in report["backends"].items()),
        ("chosen", chosen["problem"] or f"{chosen['name']}: {chosen['reason']}"),
        ("cache", cache["problem"] or f"{cache['folder']}: {cache['engines']} engines, {cache['bytes'] / 1e6:.0f} MB"),
    ]
    return "\n".join(f"{name:<14}{what}" for name, what in rows)


def _with(what: str, there: bool) -> str:
    return f"{'with' if there else 'without'} {what}"


def _works(found: dict[str, Any]) -> str:
    if found["problem"] is not None:
        return str(found["problem"])
    return f"works, version {found['version']}" + (f", with the {found['gpu']}" if found["gpu"] else "")

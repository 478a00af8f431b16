"""`ospreyd engine list` and `ospreyd engine prune`: lists and shrinks the cache."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Annotated, Any

import typer

from daemon.cli.options import Cache, Json
from daemon.cli.output import print_columns, print_json
from daemon.errors import UsageError
from engines.build.cache import LIMIT, EngineCache, Entry
from engines.text import counted

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kMG]?)B?", re.IGNORECASE)
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}


def list_engines(cache: Cache = None, as_json: Json = False) -> None:
    """Lists the built engines, most recently used first."""
    engines = EngineCache(cache)
    entries = engines.entries()
    if as_json:
        print_json([_plain(entry) for entry in entries])
        return
    print_columns(
        ("model", "part", "precision", "max batch", "built with", "MB", "last used", "file"), [_row(e) for e in entries]
    )
    typer.echo(
        f"{counted(len(entries), 'file')}, {sum(entry.size for entry in entries) / 1e6:.1f} MB in {engines.folder}"
    )


def prune(
    max_size: Annotated[
        str, typer.Option(help="Size to shrink to, such as 500MB or 2GB; 0 deletes everything.")
    ] = f"{LIMIT / 1e9:.3g}GB",
    cache: Cache = None,
    as_json: Json = False,
) -> None:
    """Deletes the least recently used engines until the cache is small enough."""
    deleted = EngineCache(cache).prune(_bytes(max_size))
    if as_json:
        print_json([_plain(entry) for entry in deleted])
    else:
        typer.echo(f"{counted(len(deleted), 'engine')} deleted, {sum(entry.size for entry in deleted) / 1e6:.1f} MB")


def _row(entry: Entry) -> list[str]:
    key = entry.key
    values = (str(key.get(name, "")) for name in ("model", "part", "precision", "max_batch"))
    built_with = str(key.get("tensorrt") or f"onnxruntime {key.get('onnxruntime', '')}")
    return [*values, built_with, f"{entry.size / 1e6:.1f}", _time(entry.used), entry.path.name]


def _plain(entry: Entry) -> dict[str, Any]:
    return {
        "path": str(entry.path),
        **{name: entry.key.get(name) for name in ("model", "part", "precision", "max_batch", "tensorrt", "gpu")},
        "bytes": entry.size,
        "build_seconds": entry.seconds,
        "built": _time(entry.built),
        "used": _time(entry.used),
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _bytes(size: str) -> int:
    match = _SIZE.fullmatch(size.strip())
    if match is None:
        raise UsageError(f"--max-size: must be a size such as 500MB or 2GB, got {size!r}")
    return int(float(match[1]) * _UNITS[match[2].lower()])

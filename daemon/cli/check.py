"""`ospreyd check`: validates a configuration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import orjson
import typer

from daemon.config.load import load
from daemon.config.schema import Config
from daemon.errors import ConfigError


def check(
    config: Annotated[Path, typer.Argument(help="Configuration file (YAML).", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Says what is wrong with a configuration, every problem with its line; exit code 2 if anything is."""
    try:
        loaded = load(config)
    except ConfigError as error:
        if as_json:
            typer.echo(orjson.dumps({"valid": False, "problems": error.problems}).decode())
            raise typer.Exit(error.exit_code) from None
        raise
    warnings = list(hidden_areas(loaded))
    if as_json:
        more = {"warnings": warnings} if warnings else {}
        typer.echo(orjson.dumps({"valid": True, "problems": [], **more}).decode())
    else:
        typer.echo(f"{config}: valid; device {loaded.device}, {len(loaded.cameras)} cameras")
        for warning in warnings:
            typer.echo(f"{config}: {warning}", err=True)


def hidden_areas(config: Config) -> Iterator[str]:
    """A sentence for each zone and line that lies outside of what its camera's `crop` leaves of the picture."""
    for name, camera in config.cameras.items():
        if camera.crop is None:
            continue
        left, top, right, bottom = camera.crop
        shapes = {f"zones.{zone}": shape.polygon for zone, shape in camera.zones.items()}
        shapes |= {f"lines.{line}": shape.points for line, shape in camera.lines.items()}
        for key, points in shapes.items():
            xs, ys = [x for x, _ in points], [y for _, y in points]
            if max(xs) <= left or min(xs) >= right or max(ys) <= top or min(ys) >= bottom:
                yield f"cameras.{name}.{key}: lies outside of `crop`, so nothing happens there"

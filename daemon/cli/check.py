"""`ospreyd check`: validates a configuration."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import orjson
import typer

from daemon.app.reload import first_plan
from daemon.config.difference import used_models
from daemon.config.load import load_with_lines
from daemon.config.mistakes import Mistake
from daemon.config.schema import Config
from daemon.doctor.storage import unwritable
from daemon.errors import EXIT_USAGE, ConfigError
from daemon.modelstore import inventory
from engines.text import counted


def check(
    config: Annotated[Path, typer.Argument(help="Configuration file (YAML).", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Says what is wrong with a configuration, every problem with its line; exit code 2 if anything is.

    What `ospreyd run` would refuse is wrong: models, labels and certificates are opened, the network is left alone.
    What could not be written now is a warning.
    """
    logging.getLogger("ospreyd").setLevel(logging.CRITICAL)  # the report says it all
    try:
        loaded = load_with_lines(config)
        with loaded.naming_lines():
            first_plan(loaded.config)
    except ConfigError as error:
        if as_json:
            typer.echo(orjson.dumps({"valid": False, "problems": error.problems}).decode())
            raise typer.Exit(EXIT_USAGE) from None
        raise ConfigError(error.problems) from None
    warnings = loaded.lines([*hidden_areas(loaded.config), *unwritable(loaded.config)])
    named = {name: inventory.named_after(loaded.config.models[name].file) for name in used_models(loaded.config)}
    models = {name: installed for name, installed in named.items() if installed is not None}
    if as_json:
        more = {name: value for name, value in (("warnings", warnings), ("models", models)) if value}
        typer.echo(orjson.dumps({"valid": True, "problems": [], **more}).decode())
        return
    for warning in warnings:
        typer.echo(f"warning: {warning}", err=True)
    cameras = counted(len(loaded.config.cameras), "camera")
    typer.echo(f"{config}: valid; device {loaded.config.device}, {cameras}")
    for name, installed in models.items():
        typer.echo(f"model {name}: {installed}, installed")


def hidden_areas(config: Config) -> Iterator[Mistake]:
    """A sentence for each zone and line that lies outside of what its camera's `crop` leaves of the picture."""
    for name, camera in config.cameras.items():
        if camera.crop is None:
            continue
        left, top, right, bottom = camera.crop
        shapes = {("zones", zone): shape.polygon for zone, shape in camera.zones.items()}
        shapes |= {("lines", line): shape.points for line, shape in camera.lines.items()}
        for key, points in shapes.items():
            xs, ys = [x for x, _ in points], [y for _, y in points]
            if max(xs) <= left or min(xs) >= right or max(ys) <= top or min(ys) >= bottom:
                yield Mistake(("cameras", name, *key), "lies outside of `crop`, so nothing happens there")

"""`ospreyd check`: validates a configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import orjson
import typer

from daemon.config.load import load
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
    if as_json:
        typer.echo(orjson.dumps({"valid": True, "problems": []}).decode())
    else:
        typer.echo(f"{config}: valid; device {loaded.device}, {len(loaded.cameras)} cameras")

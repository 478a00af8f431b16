"""`ospreyd outbox`: what waits for the broker, and dropping it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from daemon.cli.options import Json
from daemon.cli.output import print_json
from daemon.config.load import load
from daemon.publish.outbox import Outbox, outbox_path, read_status

outbox = typer.Typer(help="Events that wait on disk for the broker.", no_args_is_help=True)
_Config = Annotated[Path, typer.Argument(help="Configuration file (YAML).", show_default=False)]


@outbox.command()
def status(config: _Config, as_json: Json = False) -> None:
    """Says what waits, also while the daemon runs."""
    loaded = load(config)
    path = outbox_path(loaded.mqtt.outbox, loaded.device)
    found = read_status(path)
    if as_json:
        print_json({"path": str(path), **asdict(found)})
        return
    typer.echo(f"{path}: {found.waiting} events wait ({found.size / 1e6:.1f} MB), {found.dropped} were ever dropped")
    if found.oldest is not None:
        typer.echo(f"the oldest has waited for {found.oldest:.1f} hours of running")


@outbox.command()
def drop(config: _Config, as_json: Json = False) -> None:
    """Drops all events that wait; only while the daemon is stopped."""
    loaded = load(config)
    path = outbox_path(loaded.mqtt.outbox, loaded.device)
    with closing(Outbox(path, loaded.mqtt.outbox)) as opened:
        dropped = opened.drop_all()
    if as_json:
        print_json({"path": str(path), "dropped": dropped})
    else:
        typer.echo(f"{path}: dropped {dropped} events")

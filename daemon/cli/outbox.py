"""`ospreyd outbox`: what waits for the broker, sending it and dropping it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from daemon.cli.options import Json
from daemon.cli.output import print_json
from daemon.config.load import load
from daemon.errors import EXIT_FAILURE
from daemon.outbox.flush import flush as flush_outbox
from daemon.outbox.opened import opened_outbox, read_status
from daemon.outbox.store import outbox_path
from engines.text import counted

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
    typer.echo(
        f"{path}: {counted(found.waiting, 'event')} waiting ({found.size / 1e6:.1f} MB), {found.dropped} dropped so far"
    )
    if found.oldest is not None:
        typer.echo(f"the oldest has waited for {found.oldest:.1f} hours of running")


@outbox.command()
def flush(
    config: _Config,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long to try.")] = 60.0,
    as_json: Json = False,
) -> None:
    """Sends the events that wait, at most mqtt.outbox.replay_rate a second; only while the daemon is stopped.

    A daemon that runs sends them by itself. Ends with 1 where some are left.
    """
    sent, left = flush_outbox(load(config), seconds)
    if as_json:
        print_json({"sent": sent, "left": left})
    else:
        typer.echo(f"sent {counted(sent, 'event')}, {left} left")
    if left:
        raise typer.Exit(EXIT_FAILURE)


@outbox.command()
def drop(config: _Config, as_json: Json = False) -> None:
    """Drops all events that wait; only while the daemon is stopped."""
    loaded = load(config)
    path = outbox_path(loaded.mqtt.outbox, loaded.device)
    with opened_outbox(path, loaded.mqtt.outbox) as opened:
        dropped = opened.drop_all()
    if as_json:
        print_json({"path": str(path), "dropped": dropped})
    else:
        typer.echo(f"{path}: dropped {counted(dropped, 'event')}")

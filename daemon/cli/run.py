"""`ospreyd run`: the daemon."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from daemon.app import App


def run(config: Annotated[Path, typer.Argument(help="Configuration file (YAML).", show_default=False)]) -> None:
    """Runs the daemon until it is told to stop (SIGTERM or Ctrl-C)."""
    raise typer.Exit(App(config).run())

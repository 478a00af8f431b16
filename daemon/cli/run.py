"""`ospreyd run`: the daemon."""

from __future__ import annotations

import faulthandler
import os
from pathlib import Path
from typing import Annotated

import typer

from daemon.app.app import App
from daemon.system.descriptors import raise_limit
from daemon.system.logs import FORMAT_VARIABLE, LogFormat, log_to_stderr
from daemon.system.malloc import limit_arenas


def run(
    config: Annotated[Path, typer.Argument(help="Configuration file (YAML).", show_default=False)],
    log_format: Annotated[
        LogFormat, typer.Option(envvar=FORMAT_VARIABLE, help="What a line of the log looks like.")
    ] = LogFormat.TEXT,
) -> None:
    """Runs the daemon until SIGTERM or Ctrl-C."""
    os.environ[FORMAT_VARIABLE] = log_format.value
    log_to_stderr(reconfigure=True)
    faulthandler.enable()  # says where every thread was when the watchdog, or a crash in a library, ends the process
    limit_arenas()
    raise_limit()
    raise typer.Exit(App(config).run())

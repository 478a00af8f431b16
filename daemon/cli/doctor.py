"""`ospreyd doctor`: what this machine has, what is missing, and the command that fixes it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from daemon.app.reload import first_plan
from daemon.cli.options import Json
from daemon.cli.output import print_json
from daemon.doctor import bundle as support
from daemon.doctor.report import examine


def doctor(
    config: Annotated[
        Path | None,
        typer.Argument(help="Configuration whose backend, broker and cameras are tried.", show_default=False),
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="Also write all of it, the log included, for support; .tar.gz, no secrets.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Says what ospreyd would run on here, what is missing, and how to fix it.

    Exit code: 0 nothing stops ospreyd, 1 the broker, a camera or the cache does not work, 2 the configuration is
    mistaken, 3 the backend does not work.
    """
    logging.getLogger("ospreyd").setLevel(logging.CRITICAL)  # the report says it all
    report = examine(config, first_plan)
    if as_json:
        print_json(report.document())
    else:
        typer.echo(report.text())
    if bundle is not None:
        support.write(bundle, report, config)
    raise typer.Exit(report.exit_code)

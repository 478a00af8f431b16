"""`ospreyd model`: the installed models and the catalogue."""

from __future__ import annotations

import typer

from daemon.cli.model.add import add
from daemon.cli.model.get import get
from daemon.cli.model.show import list_models, remove_models, verify_models

model = typer.Typer(help="Get, list, check and remove detection models.", no_args_is_help=True)
model.command("list")(list_models)
model.command("get")(get)
model.command("add")(add)
model.command("remove")(remove_models)
model.command("verify")(verify_models)

"""`ospreyd engine`: builds, inspects, verifies and measures engines."""

from __future__ import annotations

import typer

from daemon.cli.engine.bench import bench
from daemon.cli.engine.build import build
from daemon.cli.engine.eval import evaluate
from daemon.cli.engine.inspect import inspect
from daemon.cli.engine.stored import list_engines, prune
from daemon.cli.engine.verify import verify

engine = typer.Typer(help="Build, inspect, check and measure engines.", no_args_is_help=True)
engine.command("build")(build)
engine.command("list")(list_engines)
engine.command("inspect")(inspect)
engine.command("verify")(verify)
engine.command("eval")(evaluate)
engine.command("bench")(bench)
engine.command("prune")(prune)

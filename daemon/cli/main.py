"""The command line: the commands, and what becomes of their errors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from daemon import __version__
from daemon.cli.check import check
from daemon.cli.demo import demo
from daemon.cli.detect import detect
from daemon.cli.doctor import doctor
from daemon.cli.engine import engine
from daemon.cli.model import model
from daemon.cli.outbox import outbox
from daemon.cli.probe import probe
from daemon.cli.run import run
from daemon.cli.schema import schema
from daemon.cli.watch import watch
from daemon.cli.web import web
from daemon.config.credentials import without_credentials
from daemon.errors import EXIT_FAILURE, EXIT_NO_BACKEND, EXIT_OK, EXIT_USAGE, ConfigError, DaemonError
from daemon.system.descriptors import is_want_of_descriptors, sentence
from daemon.system.logs import log_to_stderr, say_error
from engines.errors import BackendError, BuildError, EngineError, ModelError

_TOO_MANY = re.compile(r"(unexpected extra arguments?)(?:\(s\))? \(.*\)", re.DOTALL)


@contextmanager
def _usage_errors_without_credentials() -> Iterator[None]:
    """They repeat arguments, and one may be the half of a URL that was given without quotes."""
    try:
        yield
    except Exception as error:
        if isinstance(message := getattr(error, "message", None), str):
            quoted = _TOO_MANY.sub(r"\1; put quotes around an argument with spaces", message)
            error.message = without_credentials(quoted)  # type: ignore[attr-defined] # it was there
        raise


class _Commands(TyperGroup):
    """The commands, which are parsed in either of these."""

    def make_context(self, *arguments: Any, **more: Any) -> Any:
        with _usage_errors_without_credentials():
            return super().make_context(*arguments, **more)

    def invoke(self, ctx: Any) -> Any:
        with _usage_errors_without_credentials():
            return super().invoke(ctx)


app = typer.Typer(
    name="ospreyd",
    cls=_Commands,
    help="Edge video analytics: camera streams in, detections over MQTT out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (run, check, probe, demo, detect, doctor, watch, web, schema):
    app.command()(command)
app.add_typer(model, name="model")
app.add_typer(engine, name="engine")
app.add_typer(outbox, name="outbox")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ospreyd {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def run_cli(arguments: Sequence[str]) -> int:
    """Runs one command; the exit code. A user's mistake is one sentence on standard error, never a traceback."""
    log_to_stderr()
    try:
        app(args=list(arguments), prog_name="ospreyd")
    except ConfigError as error:  # its lines begin with the file, as editors and people expect
        say_error(str(error))
        return error.exit_code
    except (DaemonError, EngineError) as error:
        say_error(f"ospreyd: {without_credentials(str(error))}")
        return _exit_code(error)
    except OSError as error:
        if not is_want_of_descriptors(error):
            raise
        say_error(f"ospreyd: {sentence()}")
        return EXIT_FAILURE
    except SystemExit as stop:  # typer's way to end, with 2 for a wrong option
        return stop.code if isinstance(stop.code, int) else EXIT_FAILURE
    return EXIT_OK


def _exit_code(error: DaemonError | EngineError) -> int:
    if isinstance(error, DaemonError):
        return error.exit_code
    return EXIT_NO_BACKEND if isinstance(error, (BackendError, BuildError, ModelError)) else EXIT_USAGE

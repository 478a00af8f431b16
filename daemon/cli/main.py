"""The command line: the commands, and what becomes of their errors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from daemon import __version__
from daemon.config.credentials import without_credentials
from daemon.errors import EXIT_FAILURE, EXIT_NO_BACKEND, EXIT_OK, EXIT_USAGE, ConfigError, DaemonError
from daemon.system.descriptors import is_want_of_descriptors, sentence
from daemon.system.logs import log_to_stderr, say_error
from engines.errors import BackendError, BuildError, EngineError, ModelError

_COMMANDS = ("run", "check", "probe", "demo", "detect", "doctor", "watch", "web", "schema")
_GROUPS = ("model", "engine", "outbox")
"""of commands; each of both is in the module of its name"""
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


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ospreyd {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def _app(first: str) -> typer.Typer:
    """With the command `first` alone, if it is one: what the others import takes time and memory."""
    app = typer.Typer(
        name="ospreyd",
        cls=_Commands,
        help="Edge video analytics: camera streams in, detections over MQTT out.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(_options)
    known = (*_COMMANDS, *_GROUPS)
    for name in (first,) if first in known else known:
        found = getattr(import_module(f"daemon.cli.{name}"), name)
        if name in _GROUPS:
            app.add_typer(found, name=name)
        else:
            app.command()(found)
    return app


def run_cli(arguments: Sequence[str]) -> int:
    """Runs one command; the exit code. A user's mistake is one sentence on standard error, never a traceback."""
    log_to_stderr()
    try:
        _app(next(iter(arguments), ""))(args=list(arguments), prog_name="ospreyd")
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

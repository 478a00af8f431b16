"""Output of commands: one JSON document, text in columns, and a progress bar."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from engines.build import specification


def print_json(document: Any) -> None:
    """The one document of a command with --json."""
    typer.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())


def print_columns(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table with right-aligned numbers; cells are never shortened, so that they can be copied and searched."""
    columns = list(zip(heads, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    right = [all(_is_number(text) for text in column[1:] if text) for column in columns]
    for row in (heads, *rows):
        cells = (t.rjust(w) if r else t.ljust(w) for t, w, r in zip(row, widths, right, strict=True))
        typer.echo("  ".join(cells).rstrip())


@contextmanager
def progress_bar() -> Iterator[specification.Progress]:
    """A progress bar on standard error if it is a terminal, else nothing."""
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda what, fraction: bar.update(task, description=what, completed=fraction)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

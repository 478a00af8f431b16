"""`ospreyd model get`: fetches, checks and installs models of the catalogue."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from daemon.cli.model.opening import open_entry
from daemon.cli.options import CatalogueFile
from daemon.errors import DaemonError, UsageError
from daemon.modelstore import inventory
from daemon.modelstore.catalogue import Entry, read_catalogue
from daemon.modelstore.fetch import Fetching, install, save, sources, whole
from daemon.modelstore.install import damage, locked, make_default
from engines.backends import CPU, choose

_ON_GPU = "yolox-s"
_ON_CPU = "yolox-tiny"
_ON_SMALL_CPU = "yolox-nano"
_MANY_CORES = 4
_TENTHS = 10


def get(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Models of the catalogue; default: what fits here.")
    ] = None,
    given: Annotated[Path | None, typer.Option("--from", help="Take it from a file or a folder, offline.")] = None,
    to: Annotated[
        Path | None, typer.Option(help="Only fetch it into a folder, for a machine without internet.")
    ] = None,
    default: Annotated[bool, typer.Option("--default", help="Let it serve where no model is named.")] = False,
    catalogue: CatalogueFile = None,
) -> None:
    """Installs models: exit code 0 when they are installed, 1 when that failed, 2 for a wrong use.

    The first one becomes the default. Each file is pinned by size and SHA-256, and opened before it is installed.
    """
    known = read_catalogue(catalogue)
    if given is not None and to is not None:
        raise UsageError("--from and --to: give one of them")
    if default and (to is not None or len(names or ()) > 1):
        raise UsageError("--default: goes with one model that is installed")
    for name in names or [_fitting(known)]:
        if name not in known and to is None and name in inventory.installed():
            _tell_installed(name, default)  # a model of the user's own
            continue
        if name not in known:
            raise UsageError(
                f"no model {name!r}; {inventory.nearest(name, list(known))}the catalogue has {', '.join(known)}"
            )
        entry = known[name]
        if to is not None:
            _announce(entry, given)
            with _progress(entry) as progress:
                saved = save(entry, Fetching(open_entry, progress, os.environ), to)
            typer.echo(f"{saved}: whole; on the other machine: ospreyd model get {name} --from {saved.name}")
        else:
            _install(entry, given, default)


def _install(entry: Entry, given: Path | None, default: bool) -> None:
    if whole(entry) is None:
        _announce(entry, given)
        with _progress(entry) as progress:
            install(entry, Fetching(open_entry, progress, os.environ), given)
    _tell_installed(entry.name, default)


def _tell_installed(name: str, default: bool) -> None:
    one = inventory.installed()[name]
    if (wrong := damage(one.folder)) is not None:
        raise DaemonError(f"{wrong}; run: {one.mend()}")
    serving = inventory.default()
    if default or serving is None:
        with locked(inventory.DEFAULT) as place:
            make_default(place, name)
        serves = "it serves where no model is named"
    elif serving.name == name:
        serves = "it serves where no model is named"
    else:
        serves = (
            f"name it in the configuration (models: {{default: {name}}}); where none is named {serving.name} serves"
        )
    typer.echo(f"{name}: installed in {one.folder}; {serves}")


def _announce(entry: Entry, given: Path | None) -> None:
    """Before the first byte."""
    origin = str(given) if given is not None else urlsplit(sources(entry, os.environ)[0]).netloc
    typer.echo(
        f"{entry.name}: {entry.size / 1e6:.1f} MB from {origin}; licence {entry.licence}, by {entry.author}, "
        f"trained on {entry.trained_on}"
    )


def _fitting(known: dict[str, Entry]) -> str:
    """The name of the model for this machine; says why."""
    cores, backend = len(os.sched_getaffinity(0)), choose("auto")
    if backend.name != CPU:
        name, why = _ON_GPU, f"{backend.name} runs on {backend.gpu}"
    else:
        name = _ON_CPU if cores >= _MANY_CORES else _ON_SMALL_CPU
        why = f"{cores} CPU cores and no GPU that TensorRT runs on"
    if name not in known:
        raise UsageError(f"the catalogue has no {name}; name one: {', '.join(known)}")
    typer.echo(f"{name} fits this machine: {why}")
    return name


@contextmanager
def _progress(entry: Entry) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, else a line for each tenth."""
    if not sys.stderr.isatty():
        told = 0

        def tell(done: int, total: int) -> None:
            nonlocal told
            if (tenth := done * _TENTHS // total) > told:
                told = tenth
                typer.echo(f"{entry.name}: {tenth * 100 // _TENTHS} %", err=True)

        yield tell
        return
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(entry.name, total=entry.size)
        yield lambda done, total: bar.update(task, completed=done, total=total)

"""`ospreyd model list`, `verify` and `remove`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from daemon.cli.options import CatalogueFile, Json
from daemon.cli.output import print_columns, print_json
from daemon.errors import EXIT_FAILURE
from daemon.modelstore import inventory
from daemon.modelstore.advice import get_command
from daemon.modelstore.catalogue import Entry, read_catalogue
from daemon.modelstore.install import damage, remove

_HEADS = ("name", "MB", "input", "COCO AP", "CPU frames/s", "licence", "")


def list_models(catalogue: CatalogueFile = None, as_json: Json = False) -> None:
    """Lists the catalogue and what is installed; AP as their authors say, frames/s on one core."""
    known, there, serving = read_catalogue(catalogue), inventory.installed(), inventory.default()
    rows = [_row(name, known.get(name), there.get(name), serving) for name in {**known, **there}]
    if as_json:
        print_json(rows)
        return
    print_columns(_HEADS, [_cells(row) for row in rows])


def verify_models(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Default: all.")] = None,
    as_json: Json = False,
) -> None:
    """Hashes what is installed; exit code 1 if anything is not as it was installed."""
    found = {folder.name: folder for place in reversed(inventory.places()) for folder in inventory.folders(place)}
    report = [(name, damage(found[name]) if name in found else "is not installed") for name in names or sorted(found)]
    if as_json:
        print_json([{"name": name, "whole": wrong is None, "problem": wrong} for name, wrong in report])
    else:
        for name, wrong in report:
            typer.echo(f"{name}: whole" if wrong is None else f"{name}: {wrong}; {_mend(name)}")
        if not report:
            typer.echo("no model is installed")
    if any(wrong is not None for _, wrong in report):
        raise typer.Exit(EXIT_FAILURE)


def remove_models(names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Installed models.")]) -> None:
    """Removes installed models; a daemon that runs one keeps it until it is restarted."""
    for name in names:
        was_default = remove(name)
        more = "; no model serves now where none is named" if was_default else ""
        typer.echo(f"{name}: removed{more}")


def _mend(name: str) -> str:
    one = inventory.installed().get(name)
    return f"run: {get_command(name) if one is None else one.mend()}"


def _row(
    name: str, entry: Entry | None, one: inventory.Installed | None, serving: inventory.Installed | None
) -> dict[str, Any]:
    size = entry.size if entry is not None else one.size if one is not None else 0
    return {
        "name": name,
        "size": size,
        "licence": entry.licence if entry is not None else one.licence if one is not None else None,
        "ap": None if entry is None else entry.ap,
        "input": None if entry is None else list(entry.imgsz),
        "gflops": None if entry is None else entry.gflops,
        "cpu_fps": None if entry is None else entry.cpu_fps,
        "in_catalogue": entry is not None,
        "installed": one is not None,
        "default": serving is not None and serving.name == name,
    }


def _cells(row: dict[str, Any]) -> list[str]:
    size = "" if row["input"] is None else f"{row['input'][1]}x{row['input'][0]}"
    state = "default" if row["default"] else "installed" if row["installed"] else ""
    figures = ["" if row[key] is None else f"{row[key]:g}" for key in ("ap", "cpu_fps")]
    return [row["name"], f"{row['size'] / 1e6:.1f}", size, *figures, row["licence"] or "", state]

"""`ospreyd model add`: installs a model file of one's own."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from daemon.cli.engine.model_options import size_of
from daemon.cli.model.opening import override_of
from daemon.cli.options import AnyFamily, InputSize, Labels
from daemon.errors import DaemonError, UsageError
from daemon.modelstore import inventory
from daemon.modelstore.catalogue import NAME, TAKEN, read_catalogue
from daemon.modelstore.install import locked, make_default, part_of, put
from engines.model import read_model


def add(
    file: Annotated[Path, typer.Argument(help="ONNX file.", show_default=False)],
    name: Annotated[str, typer.Option(help="Letters, digits, - and _; what configurations call it.")],
    family: AnyFamily = None,
    labels: Labels = None,
    size: InputSize = None,
    given: Annotated[
        str | None, typer.Option("--input", help="As `models.<name>.input` in YAML, such as '{color: bgr, pad: 0}'.")
    ] = None,
    confidence: Annotated[float | None, typer.Option(min=0, max=1, help="Minimum score; default: 0.4.")] = None,
    licence: Annotated[str | None, typer.Option(help="SPDX identifier, for the list.")] = None,
    default: Annotated[bool, typer.Option("--default", help="Let it serve where no model is named.")] = False,
) -> None:
    """Copies a model file, opens it, and keeps how it is read, so that a configuration needs its name only."""
    if not re.fullmatch(NAME, name) or name in TAKEN:
        raise UsageError(
            f"--name: must be letters, digits, - and _, and none of {', '.join(sorted(TAKEN))}, got {name!r}"
        )
    if name in read_catalogue():
        raise UsageError(f"--name: {name} is a model of the catalogue; choose another")
    values = _input(given)
    if size is not None:
        values["size"] = list(size_of(size))
    found = read_model(file, family or "auto", labels, override_of(values, "--input"))
    record: dict[str, Any] = {
        "family": found.family.name, "labels": labels, "input": values, "confidence": confidence, "licence": licence,
        "origin": str(file.absolute()),
    }  # fmt: skip
    with locked(name) as place:
        part = part_of(place, name, "added000")
        try:
            _copy(file, part)
            # what was copied, not what was there
            read_model(part, found.family.name, labels, override_of(values, "--input"))
            one = put(place, part, name, record, None if labels in (None, "coco") else Path(str(labels)))
        finally:  # nothing resumes it
            part.unlink(missing_ok=True)
        if default or inventory.default() is None:
            make_default(place, name)
    typer.echo(f"{name}: {found.family.name}, {len(found.labels)} classes, installed in {one.folder}")


def _copy(file: Path, part: Path) -> None:
    try:
        shutil.copyfile(file, part)
    except OSError as error:
        raise DaemonError(f"{error.filename or file}: cannot be copied: {error.strerror}") from None


def _input(text: str | None) -> dict[str, Any]:
    try:
        values = {} if text is None else yaml.safe_load(text)
    except yaml.YAMLError:
        values = None
    if not isinstance(values, dict):
        raise UsageError(f"--input: must be a mapping in YAML, such as '{{color: bgr, pad: 0}}', got {text!r}")
    return values

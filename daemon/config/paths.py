"""Files that a configuration names: relative ones are found from its folder, and models must be there at the start."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from daemon.config.document import Document, KeyPath, shown
from daemon.config.schema import BUILTIN_LABELS, BUILTIN_MODEL
from daemon.config.sources import SourceKind, source_kind


def resolve(document: Document, folder: Path) -> None:
    """Makes the document's paths absolute and notes each file that is missing.

    A source may be missing: a camera that is away is no mistake of the configuration.
    """
    models, mqtt, cameras = (_mapping(document.values, key) for key in ("models", "mqtt", "cameras"))
    for name in models:
        model = _mapping(models, name)
        _file(document, model, ("models", name, "file"), folder, builtin=BUILTIN_MODEL)
        _file(document, model, ("models", name, "labels"), folder, builtin=BUILTIN_LABELS)
    _file(document, _mapping(mqtt, "tls"), ("mqtt", "tls", "ca"), folder)
    for name in cameras:
        camera = _mapping(cameras, name)
        source = camera.get("source")
        if isinstance(source, str) and _is_relative_path(source):
            camera["source"] = str(folder / source)


def _mapping(values: object, key: str) -> dict[str, object]:
    """The mapping under `key`; an empty one where there is none, which the schema will tell."""
    value = values.get(key) if isinstance(values, Mapping) else None
    return value if isinstance(value, dict) else {}


def _file(
    document: Document, section: dict[str, object], path: KeyPath, folder: Path, builtin: str | None = None
) -> None:
    key = str(path[-1])
    value = section.get(key)
    if not isinstance(value, str) or not value or value == builtin:
        return
    file = folder / value
    section[key] = str(file)
    hidden = document.keeps_secret(path)
    named = "the file" if hidden else f"the file {shown(str(file))}"
    if mistake := _why_unreadable(file, named):
        hint = f"; the one name that needs no file is {builtin!r}" if builtin else ""
        document.report(path, mistake + hint, show_value=hidden)


def _why_unreadable(file: Path, named: str) -> str | None:
    try:
        mode = file.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return f"{named} does not exist"
    except OSError as error:
        return f"{named} cannot be read: {error.strerror}"
    except ValueError:
        return f"{named} cannot be the name of a file"
    if stat.S_ISDIR(mode):
        return f"{named} is a folder, not a file"
    return None if os.access(file, os.R_OK) else f"{named} cannot be read: Permission denied"


def _is_relative_path(source: str) -> bool:
    try:
        return bool(source) and source_kind(source) is SourceKind.PATH
    except ValueError:
        return False

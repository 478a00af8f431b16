"""Files and folders in a configuration: relative paths start at its folder, and most must exist."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from daemon.config.camera import DEFAULT_MODEL
from daemon.config.document import Document, KeyPath, shown
from daemon.config.installed_models import resolve_installed
from daemon.config.model import BUILTIN_LABELS, BUILTIN_MODEL
from daemon.config.sources import SourceKind, source_kind


def resolve(document: Document, folder: Path) -> None:
    """Makes the document's paths absolute and notes each file that is missing.

    A source may be missing: a camera that is away is no mistake of the configuration. The cache is created when needed.
    """
    models, inference, mqtt, cameras = (
        _mapping(document.values, key) for key in ("models", "inference", "mqtt", "cameras")
    )
    if isinstance(document.values, dict) and "models" not in document.values:
        models = document.values["models"] = {DEFAULT_MODEL: {}}
    for name, given in models.items():
        where: KeyPath = ("models", name, "file")
        if isinstance(given, str):  # the short form
            models[name], where = {"file": given}, ("models", name)
        model = _mapping(models, name)
        if not resolve_installed(document, model, where):
            _file(document, model, where, folder, "file", builtin=BUILTIN_MODEL)
        _file(document, model, ("models", name, "labels"), folder, "labels", builtin=BUILTIN_LABELS)
        _folder(document, model, ("models", name, "calibration"), folder)
    _folder(document, inference, ("inference", "cache"), folder, made=True)
    for key in ("ca", "certificate", "key"):
        _file(document, _mapping(mqtt, "tls"), ("mqtt", "tls", key), folder, key)
    web_tls = _mapping(_mapping(_mapping(document.values, "service"), "web"), "tls")
    for key in ("certificate", "key"):
        _file(document, web_tls, ("service", "web", "tls", key), folder, key)
    outbox = _mapping(mqtt, "outbox")
    if isinstance(path := outbox.get("path"), str) and path:  # created when needed, with its folder
        outbox["path"] = str(folder / path)
    for name in cameras:
        camera = _mapping(cameras, name)
        source = camera.get("source")
        if isinstance(source, str) and _is_relative_path(source):
            camera["source"] = str(folder / source)


def _mapping(values: object, key: str) -> dict[str, object]:
    """The mapping under `key`; an empty one where there is none, which the schema reports."""
    value = values.get(key) if isinstance(values, Mapping) else None
    return value if isinstance(value, dict) else {}


def _file(
    document: Document, section: dict[str, object], path: KeyPath, folder: Path, key: str, builtin: str | None = None
) -> None:
    """`path`: of the key, or of the section where that is written as the file's name alone."""
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


def _folder(document: Document, section: dict[str, object], path: KeyPath, folder: Path, *, made: bool = False) -> None:
    """`made`: it need not exist yet."""
    key = str(path[-1])
    value = section.get(key)
    if not isinstance(value, str):
        return
    section[key] = str(folder / value)
    hidden = document.keeps_secret(path)
    named = "the folder" if hidden else f"the folder {shown(str(folder / value))}"
    if not value:
        document.report(path, "must be the name of a folder", show_value=True)
    elif mistake := _why_no_folder(folder / value, named, made):
        document.report(path, mistake, show_value=hidden)


def _why_no_folder(folder: Path, named: str, made: bool) -> str | None:
    mode = _mode(folder, named)
    if mode is None:
        return None if made else f"{named} does not exist"
    if isinstance(mode, str):
        return mode
    if not stat.S_ISDIR(mode):
        return f"{named} is a file, not a folder"
    return None if os.access(folder, os.R_OK | os.X_OK) else f"{named} cannot be read: Permission denied"


def _why_unreadable(file: Path, named: str) -> str | None:
    mode = _mode(file, named)
    if mode is None:
        return f"{named} does not exist"
    if isinstance(mode, str):
        return mode
    if stat.S_ISDIR(mode):
        return f"{named} is a folder, not a file"
    return None if os.access(file, os.R_OK) else f"{named} cannot be read: Permission denied"


def _mode(path: Path, named: str) -> int | str | None:
    """What kind of file is there: its mode, None where there is nothing, or why that cannot be told."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return f"{named} cannot be read: {error.strerror}"
    except ValueError:
        return f"{named} cannot be the name of a file"


def _is_relative_path(source: str) -> bool:
    try:
        return bool(source) and source_kind(source) is SourceKind.PATH
    except ValueError:
        return False

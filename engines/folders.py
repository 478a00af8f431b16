"""Folders for what outlives the process: systemd's where a unit sets them, else those of the XDG base directories."""

from __future__ import annotations

import os
from pathlib import Path

from engines.errors import FolderError


def cache_folder() -> Path:
    """Folder of built engines; it may not exist yet. Raises FolderError where the environment names none."""
    return _folder("CACHE_DIRECTORY", "XDG_CACHE_HOME", ".cache")


def state_folder() -> Path:
    """Folder of settings and events; it may not exist yet. Raises FolderError where the environment names none."""
    return _folder("STATE_DIRECTORY", "XDG_STATE_HOME", ".local/state")


def runtime_folder() -> Path:
    """Folder of sockets; it may not exist yet. Raises FolderError where the environment names none."""
    return _folder("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR", ".local/state")


def data_folder() -> Path:
    """Folder of models, which outlast an emptied cache. Raises FolderError where the environment names none."""
    return _folder("STATE_DIRECTORY", "XDG_DATA_HOME", ".local/share")


def _folder(systemd: str, xdg: str, below_home: str) -> Path:
    given = os.environ.get(systemd, "").split(":")[0]  # systemd separates several with colons
    if given:
        return Path(given)
    base = Path(os.environ.get(xdg, ""))
    if base.is_absolute():  # the XDG specification: ignore a relative one
        return base / "ospreyd"
    try:
        return Path.home() / below_home / "ospreyd"
    except RuntimeError:
        raise FolderError(f"user {os.geteuid()} has no home directory: set {systemd} to a folder of its own") from None

"""Installed models in a configuration: a name where a file may stand, and the default where nothing is said."""

from __future__ import annotations

from typing import Any

from daemon.config.document import Document, KeyPath
from daemon.errors import DaemonError
from daemon.modelstore import inventory

_VALUES = frozenset({"scale", "mean", "std"})
"""keys of `input` that belong together: where one is given, the others are 1, 0 and 1"""


def resolve_installed(document: Document, model: dict[str, Any], path: KeyPath) -> bool:
    """Fills in how the model is read where it is an installed one; whether it is, or was to be.

    A model without `file` is the installed default. Where there is none nothing is noted: whoever needs it says so.
    """
    file = model.get("file")
    if file is not None and not (isinstance(file, str) and inventory.is_name(file)):
        return False
    try:
        found = inventory.default() if file is None else inventory.find(file)
    except DaemonError as error:
        hidden = document.keeps_secret(path)
        document.report(path, "no such model is installed" if hidden else str(error), show_value=hidden)
        return True
    if found is not None:
        fill_in(model, found)
    return True


def fill_in(model: dict[str, Any], found: inventory.Installed) -> None:
    """Adds what is kept of an installed model to a configuration's `models.<name>`; keys that are given win."""
    kept = found.settings()
    given = model.get("input")
    if isinstance(given, dict) and "input" in kept:
        left_out = _VALUES if _VALUES & given.keys() else frozenset()
        model["input"] = {key: value for key, value in kept["input"].items() if key not in left_out} | given
    for key, value in kept.items():
        if key == "file" or model.get(key) is None:
            model[key] = value

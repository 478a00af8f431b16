"""The command that installs a model, as whoever reads a message has to type it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_SERVICE = "ospreyd-service"
_SERVICE_STATE = Path("/var/lib/ospreyd")


def get_command(name: str = "") -> str:
    """`ospreyd model get` for the user of this process; that of the service where this process is the service."""
    ours = f"ospreyd model get {name}".rstrip()
    if shutil.which(_SERVICE) is None:
        return ours
    theirs = f"{_SERVICE} model get {name}".rstrip()
    state = Path(os.environ.get("STATE_DIRECTORY", ""))
    if state == _SERVICE_STATE:
        return f"sudo {theirs}"
    if state.parent == _SERVICE_STATE:
        return f"sudo OSPREYD_INSTANCE={state.name} {theirs}"
    return f"{ours} (for the service: sudo {theirs})"


def no_default() -> str:
    """The sentence for whoever names no model where none is installed."""
    return f"no detection model is installed; run: {get_command()}"

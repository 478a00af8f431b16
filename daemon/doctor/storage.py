"""Whether what the daemon writes can be written where the configuration puts it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from daemon.config.document import dotted
from daemon.config.mistakes import Mistake
from daemon.config.schema import Config
from daemon.doctor.finding import Finding, Problem
from daemon.outbox.store import outbox_path
from engines.errors import FolderError
from engines.folders import state_folder


def storage(config: Config) -> Finding:
    """The outbox and the settings; without them events and settings do not outlast a restart."""
    problems = tuple(
        Problem(
            "storage", f"{dotted(one.path)}: {one.sentence}", "name another file, or mount, chown or chmod the folder"
        )
        for one in unwritable(config)
    )
    try:
        path = str(outbox_path(config.mqtt.outbox, config.device))
    except FolderError as error:
        path = str(error)
    line = problems[0].problem if problems else f"events in {path}"
    return Finding("storage", line, {"outbox": path, "problems": [problem.problem for problem in problems]}, problems)


def unwritable(config: Config) -> Iterator[Mistake]:
    """Files that the daemon could not write now, as this user; nothing is made."""
    key = ("mqtt", "outbox", "path")
    try:
        outbox = outbox_path(config.mqtt.outbox, config.device)
        if why := _why_unwritable(outbox):
            yield Mistake(key, why)
        elif (free := shutil.disk_usage(_there(outbox)).free) < config.mqtt.outbox.max_mb * 1e6:
            yield Mistake(key, f"only {free / 1e6:.0f} MB are free at {_there(outbox)}; mqtt.outbox.max_mb is more")
        if config.mqtt.persist_settings and (why := _why_unwritable(state_folder() / "settings")):
            yield Mistake(("mqtt", "persist_settings"), why)
    except FolderError as error:
        yield Mistake(key, str(error))


def _why_unwritable(file: Path) -> str | None:
    there = _there(file)
    if there == file and file.is_dir():
        return f"{file} is a folder, not a file"
    if there == file:
        return None if os.access(file, os.R_OK | os.W_OK) else f"{file} cannot be written by this user"
    if not there.is_dir():
        return f"{file} cannot be made: {there} is a file, not a folder"
    if os.access(there, os.W_OK | os.X_OK):
        return None
    return f"{file} cannot be made: {there} cannot be written by this user, or is read-only"


def _there(path: Path) -> Path:
    """The path, or the nearest above it that exists."""
    return next((one for one in (path, *path.parents) if os.path.lexists(one)), Path("/"))

"""Links that let somebody in once: made by who may write to the runtime folder, taken by the page's process."""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from contextlib import ExitStack, suppress
from pathlib import Path

VALID = 600  # seconds


def make_token(runtime: Path, device: str) -> str:
    """A token that is good for one login. Raises OSError where the folder cannot be written to."""
    runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
    token = secrets.token_urlsafe(32)
    with ExitStack() as opened:

        def open_in(name: str | Path, flags: int, folder: int | None = None) -> int:
            number = os.open(name, flags | os.O_CLOEXEC, 0o600, dir_fd=folder)
            opened.callback(os.close, number)
            return number

        # Root may make it in the folder of a user who can put a link there to anything: no link is followed.
        parent = open_in(runtime, os.O_RDONLY | os.O_DIRECTORY)
        links = _folder(runtime, device).name
        with suppress(FileExistsError):
            os.mkdir(links, 0o700, dir_fd=parent)
        folder = open_in(links, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, parent)
        file = open_in(_name(token), os.O_WRONLY | os.O_CREAT | os.O_EXCL, folder)
        if os.geteuid() == 0:  # the page's process may be another user's, who takes them away
            owner = os.fstat(parent)
            for number in (folder, file):
                os.fchown(number, owner.st_uid, owner.st_gid)
    return token


def take_token(runtime: Path, device: str, token: str) -> bool:
    """Whether a token is good; it is not any more afterwards, nor are those that are too old."""
    folder = _folder(runtime, device)
    good = _take(folder / _name(token))
    with suppress(OSError):
        for file in folder.iterdir():
            if _age(file) > VALID:
                file.unlink(missing_ok=True)
    return good


def _take(file: Path) -> bool:
    try:
        age = _age(file)
        file.unlink()
    except OSError:
        return False
    return 0 <= age <= VALID


def _age(file: Path) -> float:
    """Seconds; of time.time(), which may have been set."""
    return time.time() - file.stat().st_mtime + 1e-3


def _folder(runtime: Path, device: str) -> Path:
    return runtime / f"{device}.links"


def _name(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()

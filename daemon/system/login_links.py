"""Links that let somebody in once: made by who may write to the runtime folder, taken by the page's process."""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from contextlib import suppress
from pathlib import Path

VALID = 600  # seconds


def make_token(runtime: Path, device: str) -> str:
    """A token that is good for one login. Raises OSError where the folder cannot be written to."""
    runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = _folder(runtime, device)
    folder.mkdir(mode=0o700, exist_ok=True)
    owner = runtime.stat()
    token = secrets.token_urlsafe(32)
    file = folder / _name(token)
    file.touch(mode=0o600, exist_ok=False)
    if os.geteuid() == 0:  # the page's process may be another user's, who takes them away
        for path in (folder, file):
            os.chown(path, owner.st_uid, owner.st_gid)
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

"""Where built engines live: found by what they were built from, written atomically, never trusted from others.

NVIDIA's word on engine files: to load one from a source that is not trusted is to run its native code. So the folder
belongs to the user that runs ospreyd and nobody else may write to it, and each file is checked against the digest
that was noted when it was built.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import logging
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.errors import CacheError
from engines.folders import cache_folder

_log = logging.getLogger("ospreyd.engines")

LIMIT = 4 << 30
"""bytes; what is used least recently goes when there is more"""
_NOTES = ".json"
_LOCK = ".lock"
_BUILDING = "building-"
_ABANDONED_AFTER = 3600.0  # seconds


@dataclass(frozen=True, slots=True)
class Entry:
    """One built file."""

    path: Path
    recipe: Mapping[str, Any]
    """what it was built from and with"""
    size: int
    """bytes, with what lies beside it"""
    seconds: float
    """that building took"""
    built: float
    """UTC, seconds since 1970"""
    used: float
    """UTC, seconds since 1970; last time that it was loaded"""


class EngineCache:
    """A folder of built files. Safe for several threads and processes."""

    def __init__(self, folder: Path | None = None) -> None:
        """None: `cache_folder()`. Raises CacheError where the folder cannot be made or is not safe, and FolderError."""
        self.folder = folder or cache_folder()
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = self.folder.stat()
        except OSError as error:
            raise CacheError(f"{self.folder}: cannot be used for engines: {error.strerror}; choose another") from None
        if not stat.S_ISDIR(found.st_mode):
            raise CacheError(f"{self.folder}: is no folder; choose another for engines")
        if found.st_uid != os.geteuid():
            raise CacheError(
                f"{self.folder}: belongs to user {found.st_uid}, not to {os.geteuid()} who runs this; "
                "engines are native code: choose a folder of your own"
            )
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise CacheError(f"{self.folder}: others may write to it; engines are native code: chmod 700 {self.folder}")

    def find(self, recipe: Mapping[str, Any], suffix: str) -> Path | None:
        """The file built from exactly this, if it is there and whole; a damaged one is deleted."""
        path = self.path(recipe, suffix)
        notes = _notes(path)
        if notes is None:
            if path.exists():
                self.discard(path, "nothing is noted of it")
            return None
        try:
            whole = notes["sha256"] == _digest(path.read_bytes())
        except OSError:
            whole = False
        if not whole:
            self.discard(path, "it is not what was built")
            return None
        os.utime(path.with_suffix(_NOTES))
        return path

    def get(
        self, recipe: Mapping[str, Any], suffix: str, build: Callable[[], bytes], limit: int = LIMIT
    ) -> tuple[Path, bool]:
        """The file built from this, and whether it was there; else builds it. Two who want the same build it once.

        Raises CacheError where it cannot be written, and whatever `build` raises.
        """
        with self._lock(recipe):
            found = self.find(recipe, suffix)
            if found is not None:
                return found, True
            began = time.monotonic()
            data = build()
            path = self.path(recipe, suffix)
            notes = {
                "recipe": dict(recipe),
                "sha256": _digest(data),
                "seconds": round(time.monotonic() - began, 3),
                "built": time.time(),
                "suffix": suffix,
            }
            self.write(path, data)
            self.write(path.with_suffix(_NOTES), json.dumps(notes, indent=1).encode())
        self.prune(limit, keep=path)
        return path, False

    def path(self, recipe: Mapping[str, Any], suffix: str) -> Path:
        """Where the file built from this is, or would be."""
        return self.folder / (_digest(json.dumps(recipe, sort_keys=True).encode())[:32] + suffix)

    def write(self, path: Path, data: bytes) -> None:
        """A file of the cache, whole or not at all. Raises CacheError."""
        handle, name = tempfile.mkstemp(dir=self.folder, prefix=_BUILDING)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except OSError as error:
            Path(name).unlink(missing_ok=True)
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise CacheError(
                    f"{self.folder}: no space left for an engine of {len(data) / 1e6:.0f} MB; free some, or choose "
                    "another folder"
                ) from None
            raise CacheError(f"{path}: cannot be written: {error.strerror}") from None

    def discard(self, path: Path, why: str) -> None:
        """Deletes a built file and what lies beside it; the next who wants it builds it again."""
        _log.warning("%s: deleted, %s", path, why)
        for file in self._parts(path):
            file.unlink(missing_ok=True)

    def entries(self) -> list[Entry]:
        """What is there, most recently used first."""
        found = []
        for file in self.folder.glob(f"*{_NOTES}"):
            notes = _notes(file)
            if notes is None:
                continue
            try:
                size = sum(part.stat().st_size for part in self._parts(file))
                used = file.stat().st_mtime
            except FileNotFoundError:  # deleted by another process just now
                continue
            path = file.with_suffix(notes["suffix"])
            found.append(Entry(path, notes["recipe"], size, notes["seconds"], notes["built"], used))
        return sorted(found, key=lambda entry: -entry.used)

    def prune(self, limit: int, keep: Path | None = None) -> list[Entry]:
        """Deletes what was used least recently until `limit` bytes are left; `keep` stays. Gives what went."""
        for abandoned in self.folder.glob(f"{_BUILDING}*"):  # by a process that was killed while it wrote
            with suppress(FileNotFoundError):
                if time.time() - abandoned.stat().st_mtime > _ABANDONED_AFTER:
                    abandoned.unlink()
        left, gone = 0, []
        for entry in self.entries():
            left += entry.size
            if left > limit and entry.path != keep:
                left -= entry.size
                gone.append(entry)
                for file in self._parts(entry.path):
                    file.unlink(missing_ok=True)
        return gone

    def _parts(self, path: Path) -> list[Path]:
        return [file for file in self.folder.glob(f"{path.stem}.*") if file.suffix != _LOCK]

    @contextmanager
    def _lock(self, recipe: Mapping[str, Any]) -> Iterator[None]:
        """One at a time builds from this; the lock goes with the process that holds it."""
        try:
            handle = os.open(self.path(recipe, _LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise CacheError(f"{self.folder}: cannot be written to: {error.strerror}; choose another folder") from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _notes(path: Path) -> dict[str, Any] | None:
    """What was noted when a file was built, None where that is missing or unreadable."""
    try:
        notes = json.loads(path.with_suffix(_NOTES).read_bytes())
    except (OSError, ValueError):
        return None
    return notes if isinstance(notes, dict) and notes.keys() >= {"recipe", "sha256", "suffix", "built"} else None


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()

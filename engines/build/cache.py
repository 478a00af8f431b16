"""The cache of built engines: keyed by what they were built from, written atomically, writable by one user only.

NVIDIA: loading an engine from an untrusted source is running its native code. So the folder must belong to the user
who runs ospreyd, nobody else may write to it, and each file is checked against the digest from when it was built.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import logging
import os
import re
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
"""bytes; above it the least recently used engines are deleted"""
_METADATA = ".json"
_LOCK = ".lock"
_BUILDING = "building-"
TIMINGS = ".timings"
"""measurements that builds on one machine share; they belong to no single engine"""
_ABANDONED_AFTER = 3600.0  # seconds
_TIMINGS_UNUSED_AFTER = 90 * 86400.0  # seconds
_NAME = re.compile(r"[0-9a-f]{32}")
"""names of the cache's files, without suffix"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One built file."""

    path: Path
    key: Mapping[str, Any]
    """what it was built from and with"""
    size: int
    """bytes, with its metadata and compiled kernels"""
    seconds: float
    """build time"""
    built: float
    """UTC, seconds since 1970"""
    used: float
    """UTC, seconds since 1970; when it was last loaded"""


class EngineCache:
    """A folder of built files. Safe for several threads and processes."""

    def __init__(self, folder: Path | None = None) -> None:
        """None: `cache_folder()`. Raises CacheError if the folder cannot be created or is not safe, and FolderError."""
        self.folder = folder or cache_folder()
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = self.folder.stat()
        except OSError as error:
            raise CacheError(f"{self.folder}: cannot be used for engines: {error.strerror}; choose another") from None
        if not stat.S_ISDIR(found.st_mode):
            raise CacheError(f"{self.folder}: is not a folder; choose another for engines")
        if found.st_uid != os.geteuid():
            raise CacheError(
                f"{self.folder}: belongs to user {found.st_uid}, not to {os.geteuid()} who runs this; "
                "engines are native code: choose a folder of your own"
            )
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise CacheError(f"{self.folder}: others may write to it; engines are native code: chmod 700 {self.folder}")

    def find(self, key: Mapping[str, Any], suffix: str) -> Path | None:
        """The file with this key, None if it is missing; a damaged one is deleted. Raises CacheError if that fails."""
        path = self.path(key, suffix)
        metadata = _metadata(path)
        if metadata is None:
            if path.exists():
                self.discard(path, "its metadata is missing")
            return None
        try:
            intact = metadata["sha256"] == _digest(path.read_bytes())
        except OSError:
            intact = False
        if not intact:
            self.discard(path, "its digest is wrong")
            return None
        with suppress(OSError):  # a cache that can only be read forgets what was used last
            os.utime(path.with_suffix(_METADATA))
        return path

    def get(
        self, key: Mapping[str, Any], suffix: str, build: Callable[[], bytes], limit: int = LIMIT
    ) -> tuple[Path, bool]:
        """The file with this key, built if it is missing, and whether it was there. Concurrent callers build it once.

        Raises CacheError if it cannot be written, and whatever `build` raises.
        """
        with self._locked(self.path(key, _LOCK)):
            found = self.find(key, suffix)
            if found is not None:
                return found, True
            began = time.monotonic()
            data = build()
            path = self.path(key, suffix)
            metadata = {
                "key": dict(key),
                "sha256": _digest(data),
                "seconds": round(time.monotonic() - began, 3),
                "built": time.time(),
                "suffix": suffix,
            }
            self.write(path, data)
            self.write(path.with_suffix(_METADATA), json.dumps(metadata, indent=1).encode())
        try:
            self.prune(limit, keep=path)
        except OSError as error:
            _log.warning("%s: what is no longer used cannot be deleted: %s", self.folder, error)
        return path, False

    def path(self, key: Mapping[str, Any], suffix: str) -> Path:
        """The path of the file with this key, whether it exists or not."""
        return self.folder / (_digest(json.dumps(key, sort_keys=True).encode())[:32] + suffix)

    def write(self, path: Path, data: bytes) -> None:
        """Writes a file of the cache atomically. Raises CacheError."""
        unfinished = None
        try:
            handle, name = tempfile.mkstemp(dir=self.folder, prefix=_BUILDING)
            unfinished = Path(name)
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        except OSError as error:
            if unfinished is not None:
                with suppress(OSError):  # `prune` deletes it later
                    unfinished.unlink()
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise CacheError(
                    f"{self.folder}: no space left for an engine of {len(data) / 1e6:.0f} MB; free some space, or "
                    "choose another folder"
                ) from None
            raise CacheError(f"{path}: cannot be written: {error.strerror}") from None

    def discard(self, path: Path, why: str) -> None:
        """Deletes a built file with its metadata and kernels; it is rebuilt when it is needed. Raises CacheError."""
        try:
            for file in self._parts(path):
                file.unlink(missing_ok=True)
        except OSError as error:
            mend = f"make {self.folder} writable, or choose another folder"
            raise CacheError(f"{path}: cannot be deleted although {why}: {error.strerror}; {mend}") from None
        _log.warning("%s: deleted because %s", path, why)

    def entries(self) -> list[Entry]:
        """The entries, most recently used first."""
        found = []
        for file in self.folder.glob(f"*{_METADATA}"):
            metadata = _metadata(file)
            if metadata is None:
                continue
            try:
                size = sum(part.stat().st_size for part in self._parts(file))
                used = file.stat().st_mtime
            except FileNotFoundError:  # deleted by another process just now
                continue
            path = file.with_suffix(metadata["suffix"])
            if not path.exists():
                continue
            found.append(Entry(path, metadata["key"], size, metadata["seconds"], metadata["built"], used))
        return sorted(found, key=lambda entry: -entry.used)

    def prune(self, limit: int, keep: Path | None = None) -> list[Entry]:
        """Deletes the least recently used engines down to `limit` bytes, and orphaned files; `keep` stays.

        Returns the engines that were deleted.
        """
        for abandoned in self.folder.glob(f"{_BUILDING}*"):  # by a process that was killed while it wrote
            with suppress(FileNotFoundError):
                if _age(abandoned) > _ABANDONED_AFTER:
                    abandoned.unlink()
        left, deleted = 0, []
        for entry in self.entries():
            left += entry.size
            if left > limit and entry.path != keep:
                left -= entry.size
                deleted.append(entry)
                for file in self._parts(entry.path):
                    file.unlink(missing_ok=True)
        self._delete_orphans(everything=limit == 0)
        return deleted

    def _delete_orphans(self, *, everything: bool) -> None:
        """Deletes files that belong to no engine, unless a process is building it now."""
        for name in {file.stem for file in self.folder.iterdir() if _NAME.fullmatch(file.stem)}:
            path = self.folder / name
            if self._is_engine(path):
                continue
            with suppress(BlockingIOError), self._locked(path.with_suffix(_LOCK), fcntl.LOCK_EX | fcntl.LOCK_NB):
                if self._is_engine(path):  # built meanwhile
                    continue
                for file in self._parts(path):
                    if file.suffix != TIMINGS or everything or _age(file) > _TIMINGS_UNUSED_AFTER:
                        file.unlink(missing_ok=True)
                path.with_suffix(_LOCK).unlink()

    def _is_engine(self, path: Path) -> bool:
        metadata = _metadata(path)
        return metadata is not None and path.with_suffix(metadata["suffix"]).exists()

    def _parts(self, path: Path) -> list[Path]:
        return [file for file in self.folder.glob(f"{path.stem}.*") if file.suffix != _LOCK]

    @contextmanager
    def _locked(self, path: Path, how: int = fcntl.LOCK_EX) -> Iterator[None]:
        """Holds the lock file `path`; the lock ends with the process that holds it. Raises CacheError.

        `how` is as for flock(2); without waiting, BlockingIOError says that another holds it.
        """
        while True:
            try:
                handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as error:
                why = f"{self.folder}: cannot be written to: {error.strerror}; choose another folder"
                raise CacheError(why) from None
            try:
                fcntl.flock(handle, how)
                if _is_at(handle, path):  # else it was deleted while this process waited
                    yield
                    return
            finally:
                os.close(handle)


def _metadata(path: Path) -> dict[str, Any] | None:
    """The metadata of a built file, None if it is missing or unreadable."""
    try:
        metadata = json.loads(path.with_suffix(_METADATA).read_bytes())
    except (OSError, ValueError):
        return None
    return metadata if isinstance(metadata, dict) and metadata.keys() >= {"key", "sha256", "suffix", "built"} else None


def _is_at(handle: int, path: Path) -> bool:
    """Whether the open file is the one that `path` names now."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _age(file: Path) -> float:
    """Seconds since it was written."""
    return time.time() - file.stat().st_mtime


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()

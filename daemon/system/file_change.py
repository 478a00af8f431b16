"""Notices that a file was changed, also by editors that put a new one in its place."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

_Stamp: TypeAlias = "tuple[int, int, int] | None"


class FileChange:
    """Of one file, which is looked at now and then."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = self._last = self._stamp()

    def happened(self) -> bool:
        """Whether the file is another than was known, and the same as at the last look: being written is over."""
        stamp = self._stamp()
        settled, self._last = stamp == self._last, stamp
        if not settled or stamp is None or stamp == self._known:
            return False
        self._known = stamp
        return True

    def read(self) -> None:
        """It is about to be read, so that it is known as it is now."""
        self._known = self._last = self._stamp()

    def _stamp(self) -> _Stamp:
        try:
            status = self._path.stat()
        except OSError:
            return None  # between an old file and a new one
        return status.st_ino, status.st_mtime_ns, status.st_size

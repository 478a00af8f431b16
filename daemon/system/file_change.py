"""Detects changes of a file, also when an editor replaces it by a new one."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

_Stamp: TypeAlias = "tuple[int, int, int] | None"


class FileChange:
    """Polls one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = self._last = self._stamp()

    def has_settled(self) -> bool:
        """Whether the file differs from the known one and is the same as at the last call: nobody is writing it now."""
        stamp = self._stamp()
        settled, self._last = stamp == self._last, stamp
        if not settled or stamp is None or stamp == self._known:
            return False
        self._known = stamp
        return True

    def mark_known(self) -> None:
        """The caller is about to read the file: its present state is known."""
        self._known = self._last = self._stamp()

    def _stamp(self) -> _Stamp:
        try:
            status = self._path.stat()
        except OSError:
            return None  # between an old file and a new one
        return status.st_ino, status.st_mtime_ns, status.st_size

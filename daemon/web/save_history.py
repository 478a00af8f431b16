"""What the file was before each of the last saves, on disk."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TypedDict

import orjson

_KEPT = 20


class Save(TypedDict):
    """One save."""

    number: int
    time: str
    camera: str
    what: str
    """names of what was changed"""
    role: str
    address: str
    text: str
    """of the whole file before"""


class SaveHistory:
    """In a folder that only its user can read: the file may hold passwords."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, save: Save) -> None:
        """`number` is given here; on disk when this returns. Raises OSError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        numbers = self._numbers()
        number = (numbers[-1] if numbers else 0) + 1
        descriptor, name = tempfile.mkstemp(prefix=".new", dir=self._folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(orjson.dumps({**save, "number": number}))
                file.flush()
                os.fsync(descriptor)
            Path(name).replace(self._path(number))
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        for old in numbers[: max(0, len(numbers) + 1 - _KEPT)]:
            self._path(old).unlink(missing_ok=True)

    def all(self) -> list[Save]:
        """Newest first. What cannot be read is left out."""
        found = (self.one(number) for number in reversed(self._numbers()))
        return [save for save in found if save is not None]

    def one(self, number: int) -> Save | None:
        """None where it is not kept."""
        try:
            save: Save = orjson.loads(self._path(number).read_bytes())
        except (OSError, orjson.JSONDecodeError):
            return None
        return save if isinstance(save, dict) and save.keys() == Save.__annotations__.keys() else None

    def _numbers(self) -> list[int]:
        try:
            return sorted(int(file.stem) for file in self._folder.glob("*.json") if file.stem.isdigit())
        except OSError:
            return []

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:08d}.json"

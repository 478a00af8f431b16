"""The configuration file on disk: read as it is, replaced as a whole or not at all."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from daemon.errors import UsageError

_LOCK_WITHIN = 5.0  # seconds
_LOOK = 0.05  # seconds between two attempts


class ChangedError(Exception):
    """The file is not what it was when it was read."""


def read_text(file: Path) -> str:
    """Line ends and byte order mark as they are. Raises UsageError."""
    try:
        return file.read_bytes().decode()
    except UnicodeDecodeError:
        raise UsageError(f"{file.name} is not UTF-8 text, so it cannot be edited here; save it as UTF-8") from None
    except OSError as error:
        raise UsageError(f"{file.name} cannot be read: {error.strerror}") from None


@contextmanager
def locked_file(file: Path) -> Iterator[None]:
    """Nobody else who locks the file changes it while inside. Raises UsageError where somebody does for long."""
    deadline = time.monotonic() + _LOCK_WITHIN
    while True:
        try:
            descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise UsageError(f"{file.name} cannot be read: {error.strerror}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_ino == file.stat().st_ino:
                break  # else it was replaced while it was being locked
        except OSError:
            pass
        os.close(descriptor)
        if time.monotonic() > deadline:
            raise UsageError(f"{file.name} is being changed by another program; try again")
        time.sleep(_LOOK)
    try:
        yield
    finally:
        os.close(descriptor)


def replace_text(file: Path, before: str, text: str) -> None:
    """Replaces what the file holds. A symbolic link stays one.

    The file is the old or the new one whenever power fails. Raises ChangedError where it does not hold `before`, and
    UsageError where it cannot be written.
    """
    target = Path(os.path.realpath(file))
    if read_text(target) != before:
        raise ChangedError
    try:
        _replace(target, text.encode())
    except OSError as error:
        raise UsageError(
            f"{file.name} cannot be written: {error.strerror}; the page's process must be able to write to the folder "
            f"{target.parent} (install.sh --web sees to it)"
        ) from None


def _replace(target: Path, data: bytes) -> None:
    """Raises OSError."""
    status = target.stat()
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            with suppress(
                PermissionError
            ):  # another owner's file becomes ours; its group and mode keep who may read it
                os.fchown(descriptor, -1, status.st_gid)
                os.fchown(descriptor, status.st_uid, -1)
            os.fchmod(descriptor, status.st_mode & 0o777)
            os.fsync(descriptor)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

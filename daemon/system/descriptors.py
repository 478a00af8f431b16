"""File descriptors: as many as the system allows, and enough left for what is no camera: broker, outbox, models."""

from __future__ import annotations

import errno
import os
import resource
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_RESERVE = 32  # that cameras leave to the others, where the limit is not very low
_EACH = 6  # that opening a source takes, at most: RTSP over UDP, and finding out why it fails
_WAIT = 1.0  # seconds for others that are being opened


class TooFewDescriptorsError(Exception):
    """The text is one sentence."""


class OwnDescriptor:
    """A descriptor that is closed when nobody has this object any more."""

    def __init__(self, number: int) -> None:
        self.number = number
        weakref.finalize(self, os.close, number)


class Descriptors:
    """Those of the process, shared by all cameras."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        """guards what follows"""
        self._opening = 0
        """sources that are being opened"""

    @contextmanager
    def opening(self) -> Iterator[None]:
        """Opens a source inside. Raises TooFewDescriptorsError where too few would be left."""
        with self._changed:
            if not self._changed.wait_for(self._has_room, _WAIT):
                raise TooFewDescriptorsError(sentence())
            self._opening += 1
        try:
            yield
        finally:
            with self._changed:
                self._opening -= 1
                self._changed.notify_all()

    def _has_room(self) -> bool:
        limit = _limit()
        left = limit - _in_use() - _EACH * (self._opening + 1)
        return left >= min(_RESERVE, limit // 3)


def raise_limit() -> None:
    """Allows the process as many as it may have; most systems begin with fewer."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def is_want_of_descriptors(error: BaseException) -> bool:
    """Whether an operation failed because the process, or the system, may open no more."""
    return isinstance(error, OSError) and error.errno in {errno.EMFILE, errno.ENFILE}


def sentence() -> str:
    """What is wrong, and the fix."""
    return (
        f"too few file descriptors: {_in_use()} of {_limit()} are in use; allow more "
        "(LimitNOFILE= of the service, ulimit -n in a shell)"
    )


def _limit() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _in_use() -> int:
    try:
        return len(list(Path("/proc/self/fd").iterdir()))
    except OSError:  # none is left to look
        return _limit()

"""Memory for a picture that another process has made and given away."""

from __future__ import annotations

import fcntl
import mmap
import os

import numpy as np
from numpy.typing import NDArray

_LEAST, _MOST = 1 << 16, 64 << 20  # bytes


def mapped(descriptor: int) -> NDArray[np.uint8]:
    """[bytes] of a memfd, which may be closed then.

    Raises ValueError for what is none, or could be made smaller later: to write there would end the process.
    """
    try:
        seals = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
        size = os.fstat(descriptor).st_size
        if not seals & fcntl.F_SEAL_SHRINK or not _LEAST <= size <= _MOST:
            raise ValueError("the memory for a picture must be sealed against shrinking, of 64 KiB to 64 MiB")
        return np.frombuffer(mmap.mmap(descriptor, size), np.uint8)
    except OSError:
        raise ValueError("what should be memory for a picture is none") from None

"""Settings of glibc's memory allocator, so that freed memory goes back to the system."""

from __future__ import annotations

import ctypes
import platform

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # parameter numbers of mallopt(3)
_MMAP_FROM = 128 * 1024
"""Bytes; larger blocks return to the system when freed. This is glibc's default, which grows unless it is set."""
_ARENAS = 2
"""By default eight per core; each new thread takes one, and blocks of other threads stay in it."""


def limit_arenas() -> None:
    """Limits the arenas; call it before any thread starts. Without it the process grows with every reload.

    Does nothing with other C libraries.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, _MMAP_FROM)
        libc.mallopt(_M_ARENA_MAX, _ARENAS)

"""Keeps the C library from holding on to memory that was given back."""

from __future__ import annotations

import ctypes
import platform

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # numbers of mallopt(3)
_LARGE = 128 * 1024
"""bytes; what is larger goes back to the system when freed. It is glibc's default, which grows unless it is set"""
_ARENAS = 2
"""heaps; by default eight a core, and each thread that comes takes one, in which memory of others then stays"""


def limit_heaps() -> None:
    """To be called before there are threads. Cameras and models that come and go leave 20 MB in 100 otherwise.

    Only glibc has this; elsewhere nothing is done.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGE)
        libc.mallopt(_M_ARENA_MAX, _ARENAS)

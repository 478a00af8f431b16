"""Scheduling of threads that do little but must run at once, while cameras fill every core.

From Linux 6.12 on, a thread that wakes up preempts another only if its time slice is shorter; otherwise it waits until
the other's slice ends, several milliseconds each time. Older kernels favour the thread that slept most and ignore the
slice.
"""

from __future__ import annotations

import ctypes
import platform
import struct

_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
"""System call number, because C libraries have no wrapper for it."""
_SHORTEST = 100_000
"""Nanoseconds; the kernel's minimum."""


def request_short_slice() -> None:
    """Shortens the time slice of the calling thread; does nothing where the kernel has no such setting."""
    number = _SCHED_SETATTR.get(platform.machine())
    if number is None:
        return
    # struct sched_attr of sched_setattr(2): size, policy SCHED_OTHER, flags, nice, priority, runtime, deadline, period
    attributes = struct.pack("IIQiIQQQ", 48, 0, 0, 0, 0, _SHORTEST, 0, 0)
    ctypes.CDLL(None).syscall(number, 0, attributes, 0)

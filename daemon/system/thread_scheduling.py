"""Time slices of the threads that have little to do and must do it at once, beside cameras that fill every core.

Linux from 6.12 on lets a thread that wakes up take the core of another at once only if its slice is shorter; otherwise
it waits until the other's slice is over, which is milliseconds each time. Older kernels prefer who sleeps most anyway,
and take no notice of this.
"""

from __future__ import annotations

import ctypes
import platform
import struct

_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
"""number of the system call, which C libraries have no function for"""
_SHORTEST = 100_000
"""nanoseconds; the kernel takes no less"""


def shorten_slice() -> None:
    """For the calling thread. Where the kernel does not have it nothing changes, so that is no error."""
    number = _SCHED_SETATTR.get(platform.machine())
    if number is None:
        return
    # struct sched_attr of sched_setattr(2): size, policy SCHED_OTHER, flags, nice, priority, runtime, deadline, period
    attributes = struct.pack("IIQiIQQQ", 48, 0, 0, 0, 0, _SHORTEST, 0, 0)
    ctypes.CDLL(None).syscall(number, 0, attributes, 0)

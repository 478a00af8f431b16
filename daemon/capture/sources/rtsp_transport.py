"""Selects RTSP over TCP or UDP, which OpenCV reads from an environment variable of the whole process."""

from __future__ import annotations

import os
import platform
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

_VARIABLE = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
_CHECK_EVERY = 0.005  # seconds between two checks of whether OpenCV has read the variable
_POLL = {"x86_64": ("7", "271"), "aarch64": ("73",)}
"""numbers of the system calls poll and ppoll, by machine"""


class _RtspTransport:
    """The environment variable from which OpenCV reads RTSP's transport at each open.

    OpenCV has no property for it, and FFmpeg no longer takes it from the URL. The variable must not change between the
    start of a call that opens and OpenCV's reading it, after which the call waits for the network. Where the kernel
    does not show that a thread waits there, the variable keeps its value until the call returns.
    """

    def __init__(self) -> None:
        self._more = os.environ.get(_VARIABLE, "allowed_media_types;video")  # users may set their own
        # Set before there are other threads: to change it later, glibc only exchanges a pointer, and it never frees the
        # old value, which another thread may be reading.
        os.environ[_VARIABLE] = self._more
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()
        self._reading: set[int] = set()
        """native IDs of threads that open a source and may not have read the variable yet"""
        self._transport: str | None = None

    @property
    def is_overridden(self) -> bool:
        """Whether the user's own options say what the transport is."""
        return "rtsp_transport" in self._more

    @contextmanager
    def use(self, transport: Literal["tcp", "udp"]) -> Iterator[None]:
        """Sets the transport for the RTSP source that is opened inside; waits while another one may still be read."""
        turn, thread = object(), threading.get_native_id()
        with self._changed:
            self._waiting.append(turn)
            while self._waiting[0] is not turn or (self._transport != transport and self._is_being_read()):
                self._changed.wait(_CHECK_EVERY)
            self._waiting.popleft()
            self._reading.add(thread)
            if self._transport != transport:
                self._transport = transport
                # the user's options come last: the last one of a name counts
                os.environ[_VARIABLE] = f"rtsp_transport;{transport}|{self._more}"
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._reading.discard(thread)
                self._changed.notify_all()

    def _is_being_read(self) -> bool:
        self._reading = {thread for thread in self._reading if not waits_for_network(thread)}
        return bool(self._reading)


def waits_for_network(thread: int) -> bool:
    """Whether the thread with this native ID is in poll(), where FFmpeg waits for the network; False if unknown."""
    try:
        call = Path(f"/proc/self/task/{thread}/syscall").read_text("ascii").split()[0]
    except OSError:
        return False
    return call in _POLL.get(platform.machine(), ())


rtsp_transport = _RtspTransport()

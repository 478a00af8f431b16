"""RTSP over TCP or UDP: OpenCV looks for it in an environment variable, which cameras take turns in setting."""

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
    """The environment variable in which OpenCV looks for RTSP's transport at each open.

    OpenCV has no property for it, and FFmpeg no longer takes it from the URL. So the variable keeps its value from when
    a source begins to open until OpenCV has read it, which is when the call waits for the network or is over. Where the
    kernel does not tell that a thread waits, it is when the call is over.
    """

    def __init__(self) -> None:
        self._more = os.environ.get(_VARIABLE, "allowed_media_types;video")  # who knows better sets it
        # It exists before other threads do: glibc then only exchanges a pointer, and keeps the old value for those who
        # are reading it.
        os.environ[_VARIABLE] = self._more
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()
        self._reading: set[int] = set()
        """threads, as the kernel numbers them, that open a source and may not have read the variable yet"""
        self._transport: str | None = None

    @contextmanager
    def use(self, transport: Literal["tcp", "udp"]) -> Iterator[None]:
        """For the RTSP source that is opened inside; waits until no other transport is about to be read."""
        turn, thread = object(), threading.get_native_id()
        with self._changed:
            self._waiting.append(turn)
            while self._waiting[0] is not turn or (self._transport != transport and self._is_being_read()):
                self._changed.wait(_CHECK_EVERY)
            self._waiting.popleft()
            self._reading.add(thread)
            if self._transport != transport:
                self._transport = transport
                # of an option that is given twice the later one counts
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
    """Whether a thread of this process, as the kernel numbers it, is in poll(), in which FFmpeg waits for the network.

    False also where that is not known.
    """
    try:
        call = Path(f"/proc/self/task/{thread}/syscall").read_text("ascii").split()[0]
    except OSError:
        return False
    return call in _POLL.get(platform.machine(), ())


rtsp_transport = _RtspTransport()

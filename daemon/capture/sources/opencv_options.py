"""What OpenCV and FFmpeg are told: once for the process, and for each source that is opened."""

from __future__ import annotations

import math
import os
import platform
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import cv2

from daemon.config.schema import Camera

# Without being told that FFmpeg is safe for that, as every one that is built with threads is, OpenCV opens only one
# source at a time: each camera that is away would hold up the others for as long as its time-out.
# Both libraries write to standard error past Python's logging, URLs with passwords included.
os.environ.setdefault("OPENCV_FFMPEG_IS_THREAD_SAFE", "1")
os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "-8"  # AV_LOG_QUIET; OpenCV reads it once
_set_log_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel  # its names in OpenCV 4 and 5
_set_log_level(0)  # LOG_LEVEL_SILENT

_CAPTURE_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
_LOOK_EVERY = 0.005  # seconds between two looks at whether OpenCV has read the variable
_POLL = {"x86_64": ("7", "271"), "aarch64": ("73",)}
"""numbers of the system calls poll and ppoll, by machine"""
_ACCELERATION = {
    "any": cv2.VIDEO_ACCELERATION_ANY,
    "vaapi": cv2.VIDEO_ACCELERATION_VAAPI,
    "mfx": cv2.VIDEO_ACCELERATION_MFX,
}


class _RtspTransport:
    """The environment variable in which OpenCV looks for RTSP's transport at each open.

    OpenCV has no property for it, and FFmpeg no longer takes it from the URL. So the variable keeps its value from when
    a source begins to open until OpenCV has read it, which is when the call waits for the network or is over. Where the
    kernel does not tell that a thread waits, it is when the call is over.
    """

    def __init__(self) -> None:
        self._more = os.environ.get(_CAPTURE_OPTIONS, "allowed_media_types;video")  # who knows better sets it
        # It exists before other threads do: glibc then only exchanges a pointer, and keeps the old value for those who
        # are reading it.
        os.environ[_CAPTURE_OPTIONS] = self._more
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
                self._changed.wait(_LOOK_EVERY)
            self._waiting.popleft()
            self._reading.add(thread)
            if self._transport != transport:
                self._transport = transport
                # of an option that is given twice the later one counts
                os.environ[_CAPTURE_OPTIONS] = f"rtsp_transport;{transport}|{self._more}"
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


def timeouts(camera: Camera) -> list[int]:
    """For opening over a network, as properties and their values in turn."""
    return [
        *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, math.ceil(camera.open_timeout * 1000)),
        *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, math.ceil(camera.stall_after * 1000)),
    ]


def decoding(camera: Camera) -> list[int]:
    """For FFmpeg's decoders, as properties and their values in turn."""
    parameters = [cv2.CAP_PROP_N_THREADS, camera.decoder_threads]
    if camera.hw_acceleration != "none":
        parameters += [cv2.CAP_PROP_HW_ACCELERATION, _ACCELERATION[camera.hw_acceleration]]
    return parameters


def acceleration_name(acceleration: int) -> str:
    """What decodes, as the configuration calls it."""
    return next((name for name, value in _ACCELERATION.items() if value == acceleration), "none")


def device(camera: Camera) -> list[int]:
    """For V4L2, as properties and their values in turn: the sizes that a device has depend on the format."""
    parameters = []
    if camera.format is not None:
        parameters += [cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*camera.format)]
    if camera.size is not None:
        width, height = camera.size
        parameters += [cv2.CAP_PROP_FRAME_WIDTH, width, cv2.CAP_PROP_FRAME_HEIGHT, height]
    return parameters

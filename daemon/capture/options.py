"""What OpenCV and FFmpeg are told: once for the process, and for each source that is opened."""

from __future__ import annotations

import math
import os
import threading
import time
from typing import Literal

import cv2

from daemon.config.schema import Camera

# Both libraries write to standard error past Python's logging, URLs with passwords included.
os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "-8"  # AV_LOG_QUIET; OpenCV reads it once
_set_log_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel  # its names in OpenCV 4 and 5
_set_log_level(0)  # LOG_LEVEL_SILENT

_CAPTURE_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
_ACCELERATION = {
    "any": cv2.VIDEO_ACCELERATION_ANY,
    "vaapi": cv2.VIDEO_ACCELERATION_VAAPI,
    "mfx": cv2.VIDEO_ACCELERATION_MFX,
}


class _RtspTransport:
    """The one environment variable in which OpenCV looks for RTSP's transport, at the beginning of each open.

    There is no other way: OpenCV has no property for it, and FFmpeg no longer takes it from the URL.
    """

    _READ_WITHIN = 0.05  # seconds from the call of open until OpenCV has read it; it does so before anything that waits

    def __init__(self) -> None:
        self._more = os.environ.get(_CAPTURE_OPTIONS, "allowed_media_types;video")  # who knows better sets it
        self._lock = threading.Lock()
        self._opened = -math.inf
        """when a source was last about to be opened, time.monotonic()"""
        self._set("tcp")

    def use(self, transport: Literal["tcp", "udp"]) -> None:
        """For the RTSP source that the calling thread opens next, which must be at once.

        Waits only where another camera with the other transport has just begun to open, and then very shortly.
        """
        with self._lock:
            if transport != self._current:
                time.sleep(max(0.0, self._opened + self._READ_WITHIN - time.monotonic()))
                self._set(transport)
            self._opened = time.monotonic()

    def _set(self, transport: Literal["tcp", "udp"]) -> None:
        self._current = transport
        # what comes later in it wins
        os.environ[_CAPTURE_OPTIONS] = f"rtsp_transport;{transport}|{self._more}"


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


def device(camera: Camera) -> list[int]:
    """For V4L2, as properties and their values in turn: the sizes that a device has depend on the format."""
    parameters = []
    if camera.format is not None:
        parameters += [cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*camera.format)]
    if camera.size is not None:
        width, height = camera.size
        parameters += [cv2.CAP_PROP_FRAME_WIDTH, width, cv2.CAP_PROP_FRAME_HEIGHT, height]
    return parameters

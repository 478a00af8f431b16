"""Options of OpenCV and FFmpeg for each source that is opened."""

from __future__ import annotations

import math

import cv2

import daemon.system.quiet_opencv  # noqa: F401  before anything is opened
from daemon.config.camera import Camera

_ACCELERATION = {
    "any": cv2.VIDEO_ACCELERATION_ANY,
    "vaapi": cv2.VIDEO_ACCELERATION_VAAPI,
    "mfx": cv2.VIDEO_ACCELERATION_MFX,
}


def timeouts(camera: Camera) -> list[int]:
    """Time-outs for opening and reading, as properties and values in turn."""
    return [
        *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, math.ceil(camera.open_timeout * 1000)),
        *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, math.ceil(camera.stall_after * 1000)),
    ]


def decoding(camera: Camera) -> list[int]:
    """Options of FFmpeg's decoders, as properties and values in turn."""
    # before 4.7, which Debian 12 and Ubuntu 24.04 have, OpenCV decodes with a thread for each core
    threads = getattr(cv2, "CAP_PROP_N_THREADS", None)
    parameters = [] if threads is None else [threads, camera.decoder_threads]
    if camera.hw_acceleration in _ACCELERATION:
        parameters += [cv2.CAP_PROP_HW_ACCELERATION, _ACCELERATION[camera.hw_acceleration]]
    return parameters


def acceleration_name(acceleration: int) -> str:
    """The configuration's name of a kind of hardware acceleration."""
    return next((name for name, value in _ACCELERATION.items() if value == acceleration), "none")


def decoding_hint(camera: Camera) -> str:
    """What to try if a video cannot be decoded, as the end of a sentence; empty if no setting is to blame."""
    wanted = camera.hw_acceleration
    return "" if wanted not in ("vaapi", "mfx") else f" with hw_acceleration: {wanted}; `any` falls back to the CPU"

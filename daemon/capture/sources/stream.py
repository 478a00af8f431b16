"""What an open source says of its own stream."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stream:
    """As announced by the camera, the container or the driver, which may be wrong."""

    backend: str
    """FFMPEG, V4L2, GSTREAMER as OpenCV calls them, or PICTURES for a folder"""
    codec: str | None
    """four letters, such as h264, hevc, MJPG; None where the backend does not say"""
    fps: float | None
    """frames a second; None where it is not announced"""
    duration: float | None
    """seconds; None: live, or not announced"""
    hw_acceleration: str
    """that decodes: none, vaapi or mfx"""


def codec_name(fourcc: int) -> str | None:
    """Of OpenCV's CAP_PROP_FOURCC."""
    text = fourcc.to_bytes(4, "little", signed=fourcc < 0).decode("latin-1").rstrip("\0 ")
    return text if text.isprintable() and text else None

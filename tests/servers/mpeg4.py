"""MPEG-4 video in RTP packets, encoded by OpenCV: it needs no GStreamer."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2

from tests.daemon.capturing import pictures

CLOCK = 90_000
"""RTP ticks a second"""
_PAYLOAD_TYPE = 96
_LARGEST = 1300  # bytes of video in a packet
_PICTURES = 24
_START_OF_PICTURE = b"\0\0\1\xb6"


@cache
def encoded() -> tuple[bytes, ...]:
    """Frames of 160 x 120 pixels, the first and every twelfth a key frame."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "video.avi"
        writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"XVID"), 10, (160, 120))
        for image in pictures(_PICTURES, 160, 120):
            writer.write(image)
        writer.release()
        data = file.read_bytes()
    chunks = ((*struct.unpack_from("<I", data, at.end()), at.end() + 4) for at in re.finditer(b"00dc", data))
    found = [data[begin : begin + length] for length, begin in chunks]
    return tuple(frame for frame in found if _START_OF_PICTURE in frame)


def description() -> str:
    """SDP of the video."""
    head = encoded()[0].partition(_START_OF_PICTURE)[0]
    lines = ["v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=video", "c=IN IP4 0.0.0.0", "t=0 0"]
    lines += [f"m=video 0 RTP/AVP {_PAYLOAD_TYPE}", f"a=rtpmap:{_PAYLOAD_TYPE} MP4V-ES/{CLOCK}"]
    lines += [f"a=fmtp:{_PAYLOAD_TYPE} profile-level-id=1;config={head.hex()}", "a=control:track"]
    return "\r\n".join([*lines, ""])


def packets(frame: bytes, stamp: float, first: int) -> Iterator[bytes]:
    """RTP packets of a frame with its time stamp, seconds; numbered from `first`."""
    ticks = round(stamp * CLOCK) & 0xFFFFFFFF
    for number, begin in enumerate(range(0, len(frame), _LARGEST), first):
        marker = 0x80 if begin + _LARGEST >= len(frame) else 0
        head = struct.pack(">BBHII", 0x80, _PAYLOAD_TYPE | marker, number & 0xFFFF, ticks, 1)
        yield head + frame[begin : begin + _LARGEST]

"""The interface of all sources, and what they share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from daemon.config.camera import Camera
from daemon.records import Drop, Reason
from engines.pictures import Image, Picture

Received: TypeAlias = Callable[[Image, "int | None"], None]
"""A picture before it is edited, which is not to be kept, and OpenCV's rotation that it needs; None: none."""

BeginCall: TypeAlias = Callable[[float, str], None]
"""A call begins that may hang: the seconds that it may take, and the sentence to report if it takes longer."""

_DIAGNOSIS_TIMEOUT = 3.0  # seconds


class SourceError(Exception):
    """Why a source gives no frames; the text is one sentence for a person, without credentials."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class UndecodableError(SourceError):
    """The source is there, but what was to decode it does not; something else may."""


@dataclass(frozen=True, slots=True)
class Stream:
    """As announced by the camera, the container or the driver, which may be wrong."""

    backend: str
    """FFMPEG, V4L2, GSTREAMER as OpenCV calls them, PYAV, or PICTURES for a folder"""
    codec: str | None
    """four letters, such as h264, hevc, MJPG; None where the backend does not tell"""
    fps: float | None
    """frames a second; None where it is not announced"""
    duration: float | None
    """seconds; None: live, or not announced"""
    hw_acceleration: str
    """that decodes: none, vaapi, mfx or nvdec"""


class Source(Protocol):
    """An open source, for one thread."""

    @property
    def stream_time(self) -> float | None:
        """Of the grabbed frame by the stream's own clock, seconds; None where it has none."""

    @property
    def due(self) -> float | None:
        """Seconds after the first frame at which a recording shows the grabbed frame, loops added up; None: live."""

    @property
    def picture(self) -> str | None:
        """Name of the file of the grabbed frame in its folder, fit for messages; None: it is no folder."""

    @property
    def passes(self) -> int:
        """How often a recording has begun again at its end; 0 for live sources."""

    @property
    def grows(self) -> bool:
        """Whether `grab` may give another frame some time after it has raised SourceError with Reason.ENDED."""

    @property
    def fallback(self) -> str | None:
        """Why the CPU decodes what NVDEC was to decode, one sentence without credentials; None: it is as configured."""

    @property
    def next_at(self) -> float | None:
        """time.monotonic() until which `grab` would wait for the next frame by itself; None: until one comes."""

    def grab(self) -> Drop | None:
        """Waits for the next frame. Returns None for one to use, else why it is to be dropped.

        Raises SourceError where there is none: ended, lost or overdue.
        """

    def retrieve(self, into: Image | None) -> Picture:
        """The grabbed frame; BGR lies in `into` if that has its shape, else it is newly allocated.

        Raises SourceError for a frame that is not of that kind.
        """

    def stream(self) -> Stream:
        """What the source announces about itself, once a frame was grabbed."""

    def close(self) -> None:
        """Releases everything; the source is not to be used afterwards."""


def grab_usable(source: Source) -> None:
    """Waits for a frame that is not to be dropped. Raises SourceError where there is none."""
    while source.grab() is not None:
        pass


def untimed(seconds: float, hangs: str) -> None:
    """A BeginCall for callers that watch no time."""


def diagnosis_within(camera: Camera) -> float:
    """Seconds that a server may take to answer what is wrong with the camera."""
    return min(_DIAGNOSIS_TIMEOUT, camera.open_timeout)


def open_within(camera: Camera) -> float:
    """Seconds that opening the camera's source takes at most, diagnosis included, unless a call hangs."""
    return camera.open_timeout + diagnosis_within(camera)


def begin_opening(camera: Camera, begin: BeginCall) -> None:
    """Opening the camera's source begins now, or goes on after a part that may have taken long."""
    limit = open_within(camera)
    begin(limit, f"opening hangs for longer than {limit:g} s, in the driver, the network or the file system")

"""The interface of what reads a video, whichever library does it."""

from __future__ import annotations

from typing import Protocol

from daemon.capture.sources.base import Stream
from engines.pictures import Image, Picture


class Reader(Protocol):
    """Reads one video at a time, for one thread."""

    @property
    def name(self) -> str:
        """For messages, as what decodes."""

    @property
    def position(self) -> float:
        """The grabbed frame's time on the stream's clock, seconds."""

    @property
    def fps(self) -> float | None:
        """Frames a second as announced; None where that is not, or cannot be true."""

    @property
    def frames(self) -> float:
        """Number of frames as announced; not positive where that is not."""

    def open(self, source: str) -> bool:
        """Opens a URL, file, device or pipeline; False where it cannot. Raises SourceError where it is known why."""

    def grab(self) -> bool:
        """Waits for the next frame; False where there is none. Raises SourceError."""

    def retrieve(self, into: Image | None) -> Picture:
        """See Source."""

    def seek(self, seconds: float) -> None:
        """Goes to this time on the stream's clock, or before it, if the stream can."""

    def stream(self, duration: float | None) -> Stream:
        """See Source; `duration` is in seconds."""

    def close(self) -> None:
        """Releases everything; it may be opened again."""

"""The base of all sources whose frames a reader decodes."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext

from daemon.capture.sources.base import BeginCall, SourceError, Stream, UndecodableError, begin_opening
from daemon.capture.sources.decoder import ON_THE_CPU, opencv_reader, reader_of
from daemon.capture.sources.opencv import OpenCvReader
from daemon.capture.sources.reader import Reader
from daemon.config.camera import Camera
from daemon.records import Drop, Reason
from engines.pictures import Image, Picture

_FALLBACK_FPS = 25.0


class VideoSource(ABC):
    """Subclasses open `_reader`, explain failures and know which clock the stream has."""

    def __init__(self, camera: Camera, begin: BeginCall) -> None:
        """Opens the source and grabs its first frame. Raises SourceError."""
        self._camera = camera
        self._begin = begin
        self._reader, self.fallback = self._choose_reader()
        self.stream_time: float | None = None
        self.due: float | None = None
        self.next_at: float | None = None
        self.passes = 0
        self.grows = False
        self.picture: str | None = None
        try:
            self._open_or_fall_back()
        except BaseException:
            self._reader.close()
            raise
        self._grabbed = True
        """the first frame came with opening"""

    def grab(self) -> Drop | None:
        """See Source."""
        began = time.monotonic()
        if self._grabbed:
            self._grabbed = False
        else:
            self._advance()
        return self._judge(time.monotonic() - began)

    def retrieve(self, into: Image | None) -> Picture:
        """See Source."""
        return self._reader.retrieve(into)

    def stream(self) -> Stream:
        """See Source."""
        return self._reader.stream(self._duration())

    def close(self) -> None:
        """See Source."""
        self._reader.close()

    def _choose_reader(self) -> tuple[Reader, str | None]:
        """What reads the source; and why it does not decode as configured, if so."""
        return reader_of(self._camera)

    @abstractmethod
    def _open_reader(self) -> bool:
        """Opens `_reader`. Returns whether that succeeded; raises SourceError if it is known why not."""

    @abstractmethod
    def _why_not_opened(self, waited: float) -> SourceError:
        """Explains an attempt that took `waited` seconds."""

    def _turn(self) -> AbstractContextManager[None]:
        """Entered before the call that opens, and left after it; may wait, uncounted."""
        return nullcontext()

    def _opened(self, took: float) -> None:  # noqa: B027  (for the kinds that have more to do)
        """Called with a frame grabbed, `took` seconds after opening began; may grab a later one."""

    def _judge(self, waited: float) -> Drop | None:
        """What `grab` returns for the frame that came after `waited` seconds."""
        return None

    def _why_lost(self, waited: float) -> SourceError:
        """Explains the end of a stream that gave no frame within `waited` seconds."""
        if waited >= self._camera.stall_after:
            return SourceError(Reason.TIMEOUT, f"no frame for {self._camera.stall_after:g} s")
        return SourceError(Reason.ENDED, "the stream broke off: closed by the other side, or damaged")

    def _duration(self) -> float | None:
        """Of the whole stream as announced, seconds; None: live, or not announced."""
        return None

    def _note_time(self) -> None:
        """Sets `stream_time` and `due` for the grabbed frame."""
        # Once a frame: each call into OpenCV releases the GIL and has to wait for it afterwards.
        self.stream_time = self._reader.position

    def _open_or_fall_back(self) -> None:
        """As `_open`, and with OpenCV on the CPU where NVDEC does not decode the video."""
        try:
            self._open()
        except UndecodableError as error:
            if isinstance(self._reader, OpenCvReader):
                raise
            self._reader.close()
            self._reader, self.fallback = opencv_reader(self._camera), f"{error}; {ON_THE_CPU}"
            self._open()

    def _open(self) -> None:
        """Opens and grabs a frame. The time that other sources are waited for does not count as opening."""
        with self._turn():
            begin_opening(self._camera, self._begin)
            began = time.monotonic()
            opened = self._open_reader()
        if opened:
            # Readers wait up to `stall_after` for the first frame, even if opening was cut short by `open_timeout`.
            limit = self._camera.open_timeout
            self._begin(began + limit - time.monotonic(), f"the source opens but gives no frame within {limit:g} s")
            opened = self._reader.grab()
        begin_opening(self._camera, self._begin)
        if not opened:
            raise self._why_not_opened(time.monotonic() - began)
        self._opened(time.monotonic() - began)
        self._note_time()

    def _advance(self) -> None:
        """Grabs the next frame. Raises SourceError."""
        self._next()
        self._note_time()

    def _next(self) -> None:
        began = time.monotonic()
        if not self._reader.grab():
            raise self._why_lost(time.monotonic() - began)

    def _period(self) -> float:
        """Seconds from one frame to the next."""
        return 1 / (self._reader.fps or _FALLBACK_FPS)

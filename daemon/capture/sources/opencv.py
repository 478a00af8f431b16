"""The base of all sources that cv2.VideoCapture reads."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from daemon.capture.sources.base import BeginCall, SourceError, Stream, begin_opening
from daemon.capture.sources.opencv_options import acceleration_name
from daemon.config.camera import Camera
from daemon.records import Drop, Reason
from engines.pictures import BgrPicture, Image, Picture

_FALLBACK_FPS = 25.0
_MAX_FPS = 1000  # a higher one is the clock of a stream that announces no rate


class OpenCvSource(ABC):
    """Subclasses open `_capture`, explain failures and know which clock the stream has."""

    def __init__(self, camera: Camera, begin: BeginCall) -> None:
        """Opens the source and grabs its first frame. Raises SourceError."""
        self._camera = camera
        self._begin = begin
        self._capture = cv2.VideoCapture()
        self.stream_time: float | None = None
        self.due: float | None = None
        self.next_at: float | None = None
        self.grows = False
        self.picture: str | None = None
        try:
            self._open()
        except BaseException:
            self._capture.release()
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
        image = self._decoded(into)
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            detail = "the frames are not BGR; end the pipeline with videoconvert ! video/x-raw,format=BGR ! appsink"
            raise SourceError(Reason.UNSUPPORTED, detail)
        return BgrPicture(image)

    def stream(self) -> Stream:
        """See Source."""
        get = self._capture.get
        fps = get(cv2.CAP_PROP_FPS)
        return Stream(
            backend=self._capture.getBackendName(),
            codec=_codec_name(int(get(cv2.CAP_PROP_FOURCC))),
            fps=fps if 0 < fps < _MAX_FPS else None,
            duration=self._duration(),
            hw_acceleration=acceleration_name(int(get(cv2.CAP_PROP_HW_ACCELERATION))),
        )

    def close(self) -> None:
        """See Source."""
        self._capture.release()

    @abstractmethod
    def _open_capture(self) -> bool:
        """Opens `_capture`. Returns whether that succeeded; raises SourceError if it is known why not."""

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
        self.stream_time = self._position()

    def _open(self) -> None:
        """Opens and grabs a frame. The time that other sources are waited for does not count as opening."""
        with self._turn():
            begin_opening(self._camera, self._begin)
            began = time.monotonic()
            opened = self._open_capture()
        if opened:
            # OpenCV waits up to `stall_after` for the first frame, even if opening was cut short by `open_timeout`.
            limit = self._camera.open_timeout
            self._begin(began + limit - time.monotonic(), f"the source opens but gives no frame within {limit:g} s")
            opened = self._grab_frame()
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
        if not self._grab_frame():
            raise self._why_lost(time.monotonic() - began)

    def _decoded(self, into: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
        """The grabbed frame as OpenCV gives it: in `into` if that has its shape. Raises SourceError."""
        try:
            ok, image = self._capture.retrieve(into)
        except cv2.error as error:
            raise SourceError(Reason.DECODE_ERROR, f"OpenCV cannot convert a frame: {error.err}") from error
        if not ok:
            raise SourceError(Reason.DECODE_ERROR, "OpenCV cannot decode a frame")
        return cast(Image, image)

    def _grab_frame(self) -> bool:
        try:
            return self._capture.grab()
        except cv2.error as error:
            raise SourceError(Reason.DECODE_ERROR, f"OpenCV cannot read on: {error.err}") from error

    def _position(self) -> float:
        """The grabbed frame's time on the stream's clock, seconds."""
        return float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000

    def _period(self) -> float:
        """Seconds from one frame to the next."""
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        return 1 / (fps if 0 < fps < _MAX_FPS else _FALLBACK_FPS)


def _codec_name(fourcc: int) -> str | None:
    """Of OpenCV's CAP_PROP_FOURCC."""
    text = fourcc.to_bytes(4, "little", signed=fourcc < 0).decode("latin-1").rstrip("\0 ")
    return text if text.isprintable() and text else None

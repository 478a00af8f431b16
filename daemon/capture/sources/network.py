"""The base of sources that FFmpeg reads from a URL."""

from __future__ import annotations

import time

import cv2

from daemon.capture.sources.base import SourceError
from daemon.capture.sources.diagnosis import need_ffmpeg
from daemon.capture.sources.opencv import OpenCvSource
from daemon.capture.sources.opencv_options import decoding, decoding_hint, timeouts
from daemon.capture.sources.stream_clock import StreamClock
from daemon.records import Drop, Reason


class NetworkSource(OpenCvSource):
    """Knows which frames were held back by the network, and says what the server has not done."""

    def _open_capture(self) -> bool:
        need_ffmpeg()
        camera = self._camera
        return self._capture.open(camera.url, cv2.CAP_FFMPEG, [*timeouts(camera), *decoding(camera)])

    def _why_not_opened(self, waited: float) -> SourceError:
        camera = self._camera
        if error := self._diagnosis():
            return error
        if waited >= camera.open_timeout:
            detail = f"the server answers but gave no frame within {camera.open_timeout:g} s{self._hint()}"
            return SourceError(Reason.TIMEOUT, detail)
        detail = f"the server answers but gives no video that OpenCV can decode{self._hint()}"
        return SourceError(Reason.NO_VIDEO, detail)

    def _opened(self, took: float) -> None:
        self._clock = StreamClock(took)

    def _next(self) -> None:
        """Also raises where the wait was too long but brought a frame.

        When reading times out, FFmpeg gives the last frame that it had begun to take apart, as old as the silence; the
        next call would wait as long again.
        """
        began = time.monotonic()
        super()._next()
        waited = time.monotonic() - began
        if waited >= self._camera.stall_after:
            raise self._why_lost(waited)

    def _judge(self, waited: float) -> Drop | None:
        return Drop.HELD_BACK if self._clock.held_back(time.monotonic(), waited, self._position()) else None

    def _diagnosis(self) -> SourceError | None:
        """What the server says is wrong, if it is asked once more."""
        return None

    def _hint(self) -> str:
        """What to try if the server gives no video, as the end of a sentence."""
        return decoding_hint(self._camera)

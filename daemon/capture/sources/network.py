"""The base of sources that FFmpeg reads from a URL."""

from __future__ import annotations

import time

from daemon.capture.sources.base import SourceError, UndecodableError
from daemon.capture.sources.opencv_options import decoding_hint
from daemon.capture.sources.stream_clock import StreamClock
from daemon.capture.sources.video import VideoSource
from daemon.records import Drop, Reason


class NetworkSource(VideoSource):
    """Knows which frames were held back by the network, and says what the server has not done."""

    def _open_reader(self) -> bool:
        return self._reader.open(self._camera.url)

    def _why_not_opened(self, waited: float) -> SourceError:
        camera = self._camera
        if error := self._diagnosis():
            return error
        if waited >= camera.open_timeout:
            detail = f"the server answers but gave no frame within {camera.open_timeout:g} s{self._hint()}"
            return SourceError(Reason.TIMEOUT, detail)
        detail = f"the server answers but gives no video that {self._reader.name} can decode{self._hint()}"
        return UndecodableError(Reason.NO_VIDEO, detail)

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
        return Drop.HELD_BACK if self._clock.held_back(time.monotonic(), waited, self._reader.position) else None

    def _diagnosis(self) -> SourceError | None:
        """What the server says is wrong, if it is asked once more."""
        return None

    def _hint(self) -> str:
        """What to try if the server gives no video, as the end of a sentence."""
        return decoding_hint(self._camera)

"""A video file, once or again and again."""

from __future__ import annotations

import math
from pathlib import Path

from daemon.capture.sources.base import BeginCall, SourceError, UndecodableError, begin_opening
from daemon.capture.sources.diagnosis import not_accessible
from daemon.capture.sources.opencv_options import decoding_hint
from daemon.capture.sources.video import VideoSource
from daemon.config.camera import Camera
from daemon.records import Reason

_SAME_TIME = 0.0005  # seconds; positions are whole milliseconds in many containers
_CUT_SHORT = 0.9  # of the announced duration; a file that ends before is damaged


class VideoFile(VideoSource):
    """Each frame is due at its position in the file, passes added up."""

    def __init__(self, camera: Camera, begin: BeginCall) -> None:
        self._began = 0.0
        """start of this pass through the file, on the clock of `due`, seconds"""
        self._first_position = 0.0
        """of this pass, in the file, seconds"""
        super().__init__(camera, begin)

    def _open_reader(self) -> bool:
        file = Path(self._camera.source)
        _need_file(file)
        # FFmpeg takes `a:b.mp4` for a protocol, but no absolute path.
        return self._reader.open(str(file.absolute()))

    def _why_not_opened(self, waited: float) -> SourceError:
        detail = f"{self._camera.source} is not a video that {self._reader.name} can read{decoding_hint(self._camera)}"
        return UndecodableError(Reason.DECODE_ERROR, detail)

    def _opened(self, took: float) -> None:
        if self._camera.start:
            self._skip_to_start()
        self._first_position = self._reader.position

    def _advance(self) -> None:
        if self._reader.grab():
            self._note_time()
        elif self._camera.loop:
            self._began = (self.due or 0.0) + self._period()
            self._open()
            self.passes += 1
        else:
            self._check_complete()
            raise SourceError(Reason.ENDED, "the end of the file is reached")

    def _note_time(self) -> None:
        super()._note_time()
        due = self._began + (self.stream_time or 0.0) - self._first_position
        # Positions do not grow in streams without a container.
        self.due = due if self.due is None or due > self.due else self.due + self._period()

    def _duration(self) -> float | None:
        frames = self._reader.frames
        return frames * self._period() if frames > 0 else None

    def _skip_to_start(self) -> None:
        """Seeks from the first frame to the first one at `start` or later; reads on if it cannot seek."""
        start, first, position = self._camera.start, self._reader.position, -math.inf
        self._reader.seek(start - self._period())  # seeking may be a frame off
        while position < first + start - _SAME_TIME:
            begin_opening(self._camera, self._begin)  # the time limit is for each frame: there may be many
            if not self._reader.grab():
                raise SourceError(Reason.NO_VIDEO, f"{self._camera.source} ends before its `start`, {start:g} s")
            position = self._reader.position

    def _check_complete(self) -> None:
        """Raises SourceError if the file ended long before its announced duration."""
        announced = self._reader.frames * self._period()
        read = self._camera.start + (self.due or 0.0) + self._period()
        if 0 < read < announced * _CUT_SHORT - 1:
            detail = f"{self._camera.source} breaks off after {read:.1f} s of {announced:.1f} s; it is damaged"
            raise SourceError(Reason.DECODE_ERROR, detail)


def _need_file(file: Path) -> None:
    try:
        file.open("rb").close()
    except OSError as error:
        raise not_accessible(file, error) from error

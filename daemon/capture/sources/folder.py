"""A folder of pictures as a source."""

from __future__ import annotations

import logging
import math
import os
from contextlib import suppress
from pathlib import Path

from daemon.capture.sources.base import SourceError, Stream
from daemon.capture.sources.diagnosis import not_accessible
from daemon.config.camera import Camera
from daemon.records import Drop, Reason
from engines.errors import ImageError
from engines.image_file import read_image
from engines.pictures import BgrPicture, Image, Picture

_log = logging.getLogger("ospreyd.capture")
_ENDINGS = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_PICTURE_PERIOD = 1.0  # seconds that a picture lasts at pace: realtime


def is_folder(source: str) -> bool:
    """Whether the path is a folder; False if there is nothing."""
    return os.path.isdir(source)  # noqa: PTH112  (Path.is_dir raises where a folder above may not be entered)


def pictures_in(folder: Path) -> list[Path]:
    """The folder's picture files by name, one at least. Raises SourceError."""
    try:
        pictures = sorted(file for file in folder.iterdir() if file.suffix.lower() in _ENDINGS)
    except OSError as error:
        raise not_accessible(folder, error) from error
    if not pictures:
        raise SourceError(Reason.NO_VIDEO, f"the folder {folder} holds no pictures ({', '.join(_ENDINGS)})")
    return pictures


class Pictures:
    """The pictures of a folder, by name; each may have a size of its own."""

    def __init__(self, camera: Camera) -> None:
        self._folder = Path(camera.source)
        self._loop = camera.loop
        self._skipped = math.ceil(camera.start / _PICTURE_PERIOD)
        self._left = self._all()
        self._known = set(self._left)
        """files that were read, or are to be"""
        self._arriving: dict[Path, tuple[int, int]] = {}
        """size and time of change of new files when they were last checked: they may still be written"""
        self._image: Image | None = None
        self._broken: set[Path] = set()
        self.stream_time: float | None = None
        self.due: float | None = None
        self.next_at: float | None = None
        self.fallback: str | None = None
        self.passes = 0
        self.grows = not camera.loop
        self.picture: str | None = None

    def grab(self) -> Drop | None:
        """See Source."""
        if not self._read_next() and self._loop:
            self._left = self._all()
            self.passes += 1
            self._read_next()
        if self._image is None and self.due is not None and not self._loop:
            self._left = self._new()
            self._read_next()
        if self._image is None:
            reason, detail = Reason.ENDED, "the last picture of the folder is read"
            if self._loop or self.due is None:
                which = " from `start` on" if self._skipped else ""
                detail = f"the folder {self._folder} holds no picture that OpenCV can read{which}"
                reason = Reason.DECODE_ERROR
            raise SourceError(reason, detail)
        self.due = 0.0 if self.due is None else self.due + _PICTURE_PERIOD
        return None

    def retrieve(self, into: Image | None) -> Picture:
        """See Source."""
        if self._image is None:
            raise RuntimeError("retrieve() comes after grab()")
        return BgrPicture(self._image)

    def stream(self) -> Stream:
        """See Source."""
        duration = len(pictures_in(self._folder)) * _PICTURE_PERIOD
        return Stream("PICTURES", None, 1 / _PICTURE_PERIOD, duration, "none")

    def close(self) -> None:
        """See Source."""
        self._image = None

    def _all(self) -> list[Path]:
        """The files from `start` on, in reverse order."""
        return pictures_in(self._folder)[self._skipped :][::-1]

    def _new(self) -> list[Path]:
        """Files that came since the last look and are whole, in reverse order."""
        before, self._arriving = self._arriving, {}
        with suppress(SourceError, OSError):  # the folder may be empty by now, and a file gone
            for file in pictures_in(self._folder):
                if file not in self._known:
                    stat = file.stat()
                    self._arriving[file] = stat.st_size, stat.st_mtime_ns
        whole = [file for file, state in self._arriving.items() if before.get(file) == state]
        self._known.update(whole)
        return whole[::-1]

    def _read_next(self) -> bool:
        """Reads the next readable picture into `_image`. Returns False at the end, with None there."""
        self._image = None
        while self._left and self._image is None:
            file = self._left.pop()
            self._image = _read_picture(file)
            self.picture = os.fsencode(file.name).decode("utf-8", "replace")
            if self._image is None and file not in self._broken:
                self._broken.add(file)
                _log.warning("%s is not a picture that OpenCV can read; it is skipped", file)
        return self._image is not None


def _read_picture(file: Path) -> Image | None:
    try:
        return read_image(file)
    except ImageError:
        return None

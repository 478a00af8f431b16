"""JPEG pictures over HTTP, as a stream (MJPEG) or as a still picture that is asked for again and again."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from contextlib import closing
from email.message import Message

import cv2
import numpy as np

from daemon.capture.sources.base import SourceError, Stream
from daemon.capture.sources.http_client import Response, get, whole_body
from daemon.capture.sources.jpegs import JpegSplitter
from daemon.config.camera import Camera
from daemon.records import Drop, Reason
from engines.pictures import BgrPicture, Image, Picture

_LARGEST_STILL = 64 << 20  # bytes


class _Pictures(ABC):
    """What both have in common: the last picture, and how long ago that was."""

    def __init__(self, camera: Camera, deadline: float) -> None:
        """The first picture must come by `deadline`, by time.monotonic()."""
        self._camera = camera
        self._image: Image | None = None
        self._deadline = deadline
        """of the next picture, by time.monotonic()"""
        self._opened: deque[Drop | None] = deque()
        """what `grab` is still to return of what came while it was opened"""
        self.stream_time: float | None = None
        """None: there are no time stamps"""
        self.due: float | None = None
        """None: live"""
        self.passes = 0
        self.grows = False
        self.fallback: str | None = None
        self.picture: str | None = None
        self._next_at: float | None = None

    @property
    def next_at(self) -> float | None:
        """See Source."""
        return None if self._opened else self._next_at

    def open(self) -> None:
        """Waits for the first picture. Raises SourceError."""
        while self._image is None:
            self._opened.append(self._next())

    def grab(self) -> Drop | None:
        """See Source."""
        return self._opened.popleft() if self._opened else self._next()

    def retrieve(self, into: Image | None) -> Picture:
        """See Source."""
        if self._image is None:
            raise RuntimeError("retrieve() comes after grab()")
        return BgrPicture(self._image)

    @abstractmethod
    def _next(self) -> Drop | None:
        """As `grab`."""

    def _overdue(self) -> SourceError:
        if self._image is None:
            detail = f"the server answers but gave no frame within {self._camera.open_timeout:g} s"
        else:
            detail = f"no frame for {self._camera.stall_after:g} s"
        return SourceError(Reason.TIMEOUT, detail)

    def _take(self, picture: bytes | None) -> Drop | None:
        """What `grab` returns for bytes that should be a picture."""
        image = None if picture is None else _decode(picture)
        if image is None:
            return Drop.DAMAGED
        self._image, self._deadline = image, time.monotonic() + self._camera.stall_after
        return None


class MjpegStream(_Pictures):
    """Pictures that the server sends by itself."""

    def __init__(self, camera: Camera, response: Response, deadline: float) -> None:
        """Takes the response over."""
        super().__init__(camera, deadline)
        self._response = response
        head = Message()
        head["Content-Type"] = response.content_type
        self._splitter = JpegSplitter(str(head.get_param("boundary", "")))
        self._waiting: deque[bytes | None] = deque()

    def stream(self) -> Stream:
        """See Source."""
        return Stream("HTTP", "MJPG", None, None, "none")

    def close(self) -> None:
        """See Source."""
        self._response.close()

    def _next(self) -> Drop | None:
        while not self._waiting:
            data = self._response.read(self._deadline) if time.monotonic() < self._deadline else None
            if data is None:
                raise self._overdue()
            if not data:
                raise self._why_ended()
            self._waiting.extend(self._splitter.feed(data))
        return self._take(self._waiting.popleft())

    def _why_ended(self) -> SourceError:
        if self._image is None:
            detail = f"{self._response.server} answers but sends no JPEG picture; check the path of the source"
            return SourceError(Reason.NO_VIDEO, detail)
        return SourceError(Reason.ENDED, "the stream broke off: closed by the other side, or damaged")


class StillPicture(_Pictures):
    """A URL that gives one picture at each request."""

    def __init__(self, camera: Camera, response: Response, deadline: float) -> None:
        """Takes the response over, which has the first picture."""
        super().__init__(camera, deadline)
        self._response: Response | None = response
        self._server = response.server

    def stream(self) -> Stream:
        """See Source."""
        return Stream("HTTP", None, 1 / self._camera.poll, None, "none")

    def close(self) -> None:
        """See Source."""
        if self._response is not None:
            self._response.close()

    def _next(self) -> Drop | None:
        now = time.monotonic()
        if self._image is None:
            drop = self._request(self._deadline)
            if drop is not None:
                raise SourceError(Reason.NO_VIDEO, f"{self._server} answers with what is no picture; check the path")
        else:
            time.sleep(max(0.0, (self._next_at or 0.0) - now))
            drop = self._request(time.monotonic() + self._camera.stall_after)
            if drop is not None and time.monotonic() > self._deadline + self._camera.poll:
                raise self._overdue()
        self._next_at = max(now, self._next_at or 0.0) + self._camera.poll
        return drop

    def _request(self, deadline: float) -> Drop | None:
        response = self._response or get(self._camera.url, deadline)
        self._response = None
        with closing(response):
            picture = whole_body(response, _LARGEST_STILL, deadline)
        return self._take(picture)


def _decode(picture: bytes) -> Image | None:
    try:
        image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR) if picture else None
    except cv2.error:
        return None
    return None if image is None else image.astype(np.uint8, copy=False)

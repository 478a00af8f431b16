"""Opens what a camera's `source` names and reads its frames: the only user of cv2.VideoCapture."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Protocol, TypeAlias, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from daemon.capture.sources.diagnosis import SourceError, device_path, is_folder, problem
from daemon.capture.sources.editing import edited
from daemon.capture.sources.folder import Pictures
from daemon.capture.sources.network_probe import probe
from daemon.capture.sources.opencv_options import acceleration_name, decoding, device, rtsp_transport, timeouts
from daemon.capture.sources.stream import Stream, codec_name
from daemon.config.schema import Camera
from daemon.config.sources import SourceKind, source_kind
from daemon.records import Reason

Image = NDArray[np.uint8]

_PROBE_TIMEOUT = 3.0  # seconds; with a shorter open_timeout that one
_HELD_BACK = 0.3  # seconds by which a frame comes later than it should, and from which on it is not taken for new
_FALLBACK_FPS = 25.0
_MOST_FPS = 1000  # more is not the rate but the clock of a stream that does not announce one
_SAME_TIME = 0.0005  # seconds; positions are whole milliseconds in many containers
_CUT_SHORT = 0.9  # of the announced duration; what ends before is damaged, not ended


Begin: TypeAlias = Callable[[float, str], None]
"""A call begins that may hang: the seconds that it may take, and what it means if it takes longer."""


def _untimed(seconds: float, hangs: str) -> None:
    """For who does not watch the time."""


class Source(Protocol):
    """An open source, for one thread."""

    @property
    def stream_time(self) -> float | None:
        """Of the grabbed frame by the stream's own clock, seconds; None where it has none."""

    @property
    def due(self) -> float | None:
        """Seconds after the first frame at which a recording shows the grabbed frame, loops added up; None: live."""

    def grab(self) -> None:
        """Waits for the next frame. Raises SourceError where there is none: ended, lost or overdue."""

    def retrieve(self, into: Image | None) -> Image:
        """The grabbed frame, uint8 [H, W, 3] BGR: in `into` if that has its shape, else newly allocated.

        Raises SourceError for a frame that is not of that kind.
        """

    def stream(self) -> Stream:
        """What it says of itself, once a frame was grabbed."""

    def close(self) -> None:
        """Gives everything back; the source is not to be used afterwards."""


def open_source(camera: Camera, begin: Begin = _untimed) -> Source:
    """Opens the camera's source and waits for its first frame. Raises SourceError.

    `begin` is told of each call that may hang.
    """
    _begin_opening(camera, begin)
    if error := problem(camera.source):
        raise error
    if source_kind(camera.source) is SourceKind.PATH and is_folder(camera.source):
        return edited(Pictures(camera), camera)
    return edited(_Video(camera, begin), camera)


def open_within(camera: Camera) -> float:
    """Seconds that `open_source` takes at most, asking the server what is wrong included, unless something hangs."""
    return camera.open_timeout + min(_PROBE_TIMEOUT, camera.open_timeout)


def _begin_opening(camera: Camera, begin: Begin) -> None:
    limit = open_within(camera)
    begin(limit, f"opening hangs for longer than {limit:g} s, in the driver, the network or the file system")


class _Video:
    """Anything that cv2.VideoCapture reads."""

    def __init__(self, camera: Camera, begin: Begin) -> None:
        self._camera = camera
        self._begin = begin
        self._kind = source_kind(camera.source)
        self._capture = cv2.VideoCapture()
        self._began = 0.0
        """of this pass through a recording, on the clock of `due`"""
        self.stream_time: float | None = None
        self.due: float | None = None
        try:
            self._open()
        except BaseException:
            self._capture.release()
            raise
        self._grabbed = True
        """the first frame came with opening"""

    def grab(self) -> None:
        if self._grabbed:
            self._grabbed = False
        elif self._next_in_time():
            self._note_time()
        elif self._camera.loop:
            self._began = (self.due or 0.0) + self._period()
            self._open()
        else:
            self._check_complete()
            raise SourceError(Reason.ENDED, "the end of the file is reached")

    def retrieve(self, into: Image | None) -> Image:
        try:
            ok, image = self._capture.retrieve(into)
        except cv2.error as error:
            raise SourceError(Reason.DECODE_ERROR, f"OpenCV cannot convert a frame: {error.err}") from error
        if not ok:
            raise SourceError(Reason.DECODE_ERROR, "OpenCV cannot decode a frame")
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            detail = "the frames are not BGR; end the pipeline with videoconvert ! video/x-raw,format=BGR ! appsink"
            raise SourceError(Reason.UNSUPPORTED, detail)
        return cast(Image, image)

    def stream(self) -> Stream:
        get, fps = self._capture.get, self._capture.get(cv2.CAP_PROP_FPS)
        frames = get(cv2.CAP_PROP_FRAME_COUNT) if self._kind is SourceKind.PATH else 0
        return Stream(
            backend=self._capture.getBackendName(),
            codec=codec_name(int(get(cv2.CAP_PROP_FOURCC))),
            fps=fps if 0 < fps < _MOST_FPS else None,
            duration=frames * self._period() if frames > 0 else None,
            hw_acceleration=acceleration_name(int(get(cv2.CAP_PROP_HW_ACCELERATION))),
        )

    def close(self) -> None:
        self._capture.release()

    def _open(self) -> None:
        """Ends with a frame grabbed. The time that it takes counts from when nobody else is waited for."""
        with self._turn():
            _begin_opening(self._camera, self._begin)
            began = time.monotonic()
            opened = self._open_capture()
        if not (opened and self._grab_frame()):
            raise self._why_not_opened(time.monotonic() - began)
        if self._camera.start:
            self._skip_to_start()
        self._first_position = self._position()
        if self._kind in (SourceKind.RTSP, SourceKind.HTTP):
            self._skip_buffered(time.monotonic() - began)
        self._note_time()

    def _turn(self) -> AbstractContextManager[None]:
        if self._kind is not SourceKind.RTSP:
            return nullcontext()
        limit = self._camera.open_timeout
        self._begin(limit, f"RTSP cameras with another `transport` have been opening for longer than {limit:g} s")
        return rtsp_transport.use(self._camera.transport)

    def _open_capture(self) -> bool:
        camera, capture = self._camera, self._capture
        if self._kind is SourceKind.GSTREAMER:
            return capture.open(camera.source, cv2.CAP_GSTREAMER, timeouts(camera))
        if self._kind is SourceKind.V4L2:
            return capture.open(str(device_path(camera.source)), cv2.CAP_V4L2, device(camera))
        # An absolute path cannot be mistaken for a protocol of FFmpeg's, as `a:b.mp4` is.
        name = str(Path(camera.source).absolute()) if self._kind is SourceKind.PATH else camera.source
        parameters = [*timeouts(camera), *decoding(camera)]
        return capture.open(name, cv2.CAP_FFMPEG, parameters)

    def _why_not_opened(self, waited: float) -> SourceError:
        camera = self._camera
        if self._kind is SourceKind.PATH:
            detail = f"{camera.source} is not a video that OpenCV can read{self._how()}"
            return SourceError(Reason.DECODE_ERROR, detail)
        if self._kind is SourceKind.V4L2:
            why = "does it have that `format` and `size`" if device(camera) else "is another program using it"
            return SourceError(Reason.NO_VIDEO, f"{device_path(camera.source)} gives no video; {why}?")
        if self._kind is SourceKind.GSTREAMER:
            return SourceError(Reason.NO_VIDEO, "the pipeline gives no video; try it with gst-launch-1.0")
        if error := probe(camera.source, min(_PROBE_TIMEOUT, camera.open_timeout)):
            return error
        if waited >= camera.open_timeout:
            detail = f"the server answers but gave no frame within {camera.open_timeout:g} s{self._how()}"
            return SourceError(Reason.TIMEOUT, detail)
        detail = f"the server answers but gives no video that OpenCV can decode{self._how()}"
        return SourceError(Reason.NO_VIDEO, detail)

    def _how(self) -> str:
        """The setting that may be to blame, and what to try instead."""
        if self._camera.transport == "udp":
            return " over UDP; `transport: tcp` may work"
        wanted = self._camera.hw_acceleration
        return "" if wanted in ("none", "any") else f" with hw_acceleration: {wanted}; `any` falls back to the CPU"

    def _skip_to_start(self) -> None:
        """From the first frame to one that is `start` later or more; where it cannot seek, by reading on."""
        start, first, position = self._camera.start, self._position(), -math.inf
        self._capture.set(cv2.CAP_PROP_POS_MSEC, (start - self._period()) * 1000)  # seeking may be a frame off
        while position < first + start - _SAME_TIME:
            _begin_opening(self._camera, self._begin)  # each frame may take as long, however many there are
            if not self._grab_frame():
                raise SourceError(Reason.NO_VIDEO, f"{self._camera.source} ends before its `start`, {start:g} s")
            position = self._position()

    def _skip_buffered(self, age: float) -> None:
        """Drops the frames that came in while nobody took them: the grabbed one is up to `age` seconds old.

        They are told by the stream's clock, which runs faster than ours until grabbing has to wait for the camera.
        """
        until = time.monotonic() + age
        first = position = self._position()
        while (began := time.monotonic()) < until and position - first < age:
            self._next()
            took, last, position = time.monotonic() - began, position, self._position()
            if last < position <= last + 2 * took:
                return

    def _next_in_time(self) -> bool:
        """Like `_next`, but where the network has held frames back, as the stream's clock shows, takes the newest."""
        began, last = time.monotonic(), self.stream_time
        going_on = self._next()
        if self._kind is SourceKind.RTSP and last is not None:
            behind = time.monotonic() - began - (self._position() - last)
            if behind > _HELD_BACK:
                self._skip_buffered(behind)
        return going_on

    def _next(self) -> bool:
        """Grabs a frame; False at the end of a recording. Raises SourceError where a live source is lost."""
        began = time.monotonic()
        if self._grab_frame():
            return True
        if self._kind is SourceKind.PATH:
            return False
        raise self._why_lost(time.monotonic() - began)

    def _why_lost(self, waited: float) -> SourceError:
        if self._kind is SourceKind.V4L2 and (error := problem(self._camera.source)):  # unplugged
            return error
        if waited >= self._camera.stall_after:
            return SourceError(Reason.TIMEOUT, f"no frame for {self._camera.stall_after:g} s")
        return SourceError(Reason.ENDED, "the stream broke off: closed by the other side, or damaged")

    def _grab_frame(self) -> bool:
        try:
            return self._capture.grab()
        except cv2.error as error:
            raise SourceError(Reason.DECODE_ERROR, f"OpenCV cannot read on: {error.err}") from error

    def _note_time(self) -> None:
        if self._kind is SourceKind.HTTP:
            return  # MJPEG has no clock: FFmpeg makes one up
        # Once only: each call of OpenCV's gives the interpreter away, and has to wait for it afterwards.
        self.stream_time = self._position()
        if self._kind is SourceKind.PATH:
            due = self._began + self.stream_time - self._first_position
            # Streams without a container have no positions that grow.
            self.due = due if self.due is None or due > self.due else self.due + self._period()

    def _position(self) -> float:
        return float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000

    def _period(self) -> float:
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        return 1 / (fps if 0 < fps < _MOST_FPS else _FALLBACK_FPS)

    def _check_complete(self) -> None:
        """Raises SourceError if a recording ended long before it said that it would."""
        announced = self._capture.get(cv2.CAP_PROP_FRAME_COUNT) * self._period()
        read = self._camera.start + (self.due or 0.0) + self._period()
        if 0 < read < announced * _CUT_SHORT - 1:
            detail = f"{self._camera.source} breaks off after {read:.1f} s of {announced:.1f} s; it is damaged"
            raise SourceError(Reason.DECODE_ERROR, detail)

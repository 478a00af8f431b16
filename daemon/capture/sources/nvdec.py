"""Reads videos with PyAV, which decodes on an NVIDIA GPU; the frames stay there.

PyAV is imported when the first camera wants it: it is an extra.
"""

from __future__ import annotations

import functools
import importlib
import math
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.capture.sources.base import SourceError, Stream, UndecodableError
from daemon.capture.sources.nvdec_pictures import picture_of, primary_context, use_primary_context
from daemon.config.camera import Camera
from daemon.records import Reason
from engines.pictures import Image, Picture

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_MAX_FPS = 1000  # a higher one is the clock of a stream that announces no rate
_FALLBACK_FPS = 25.0
_ROOM = 256_000_000
"""bytes of the GPU's memory: a video of 1080p takes 50 MB of it, one of 2160p four times as much"""


@functools.cache
def _av() -> Any:
    """PyAV's module; to ask the interpreter for it again and again would take 3 us each time."""
    return importlib.import_module("av")


@functools.cache
def nvdec_problem() -> str | None:
    """Why no video can be decoded on an NVIDIA GPU here, one sentence; None where it can."""
    try:
        hwaccel = importlib.import_module("av.codec.hwaccel")
    except ImportError:
        return "PyAV is not installed; pip install 'ospreyd[nvdec]'"
    if "cuda" not in hwaccel.hwdevices_available():
        return "this PyAV is built without NVDEC, as on ARM; its wheels for x86-64 have it"
    try:
        primary_context()
    except OSError as error:
        return f"there is no NVIDIA GPU to decode on: {error}"
    return None


class NvdecReader:
    """See Reader."""

    name = "NVDEC"

    def __init__(self, camera: Camera, software: bool = False) -> None:
        """`software` decodes on the CPU instead, as tests do."""
        self._camera = camera
        self._software = software
        self._container: InputContainer | None = None
        self._stream: VideoStream | None = None
        self._packets: Iterator[Any] = iter(())
        self._decoded: deque[VideoFrame] = deque()
        self._frame: VideoFrame | None = None
        """the grabbed one"""
        self._position = 0.0
        self._begin = 0
        """of the stream, on its clock"""
        self._tick: float | None = None
        """of that clock, seconds; a fraction would take longer than all else that is done for a frame"""
        self._longest = math.inf
        """seconds that a frame may take"""
        self._stamps = _Stamps()
        self._file: tuple[int, ...] | None = None
        """which file is open; None where it is none"""
        self._ended = False
        self._first: tuple[int | None, int | None] | None = None
        """PTS and DTS of the first frame; None where it has none"""

    @property
    def position(self) -> float:
        """See Reader."""
        return self._position

    @property
    def fps(self) -> float | None:
        """See Reader."""
        fps = float(self._opened.guessed_rate or 0)
        return fps if 0 < fps < _MAX_FPS else None

    @property
    def frames(self) -> float:
        """See Reader."""
        stream = self._opened
        if stream.frames or stream.duration is None or stream.time_base is None:
            return float(stream.frames)
        return float(stream.duration * stream.time_base) * (self.fps or _FALLBACK_FPS)

    def open(self, source: str) -> bool:
        """See Reader."""
        if self._rewound(source):
            return True
        self.close()
        av, camera = _av(), self._camera
        options = {"allowed_media_types": "video"}
        if source.startswith("rtsp"):
            options["rtsp_transport"] = camera.transport
        remote = "://" in source  # a file that takes long is no file that has ended
        limits = (camera.open_timeout, camera.stall_after) if remote else None
        self._longest = camera.stall_after if remote else math.inf
        try:
            self._container = container = av.open(source, options=options, timeout=limits, hwaccel=self._hardware())
        except (av.error.FFmpegError, RuntimeError):  # the latter: a codec that NVDEC does not have
            return False
        videos = container.streams.video
        if not videos or not (self._software or videos[0].codec_context.is_hwaccel):
            return False
        self._stream = videos[0]
        self._begin, base = videos[0].start_time or 0, videos[0].time_base
        self._tick = None if base is None else float(base)
        self._stream.codec_context.thread_count = 1  # not one a core, of which NVDEC needs none
        self._stamps = _Stamps()
        self._packets = container.demux(self._stream)
        self._file = None if remote else _identity(source)
        return True

    def grab(self) -> bool:
        """See Reader."""
        frame = self._decoded_frame()
        if frame is None or (self._frame is None and frame.rotation % 360):  # OpenCV turns it
            return False
        self._take(frame)
        return True

    def retrieve(self, into: Image | None) -> Picture:
        """See Reader."""
        frame = self._frame
        if frame is None:
            raise RuntimeError("retrieve() comes after grab()")
        try:
            return picture_of(frame)
        except _av().error.FFmpegError as error:
            raise SourceError(Reason.DECODE_ERROR, f"PyAV cannot convert a frame: {error.strerror}") from error
        except OSError as error:
            raise SourceError(Reason.DECODE_ERROR, f"the NVIDIA GPU has failed: {error}") from error

    def seek(self, seconds: float) -> None:
        """See Reader."""
        av, stream = _av(), self._opened
        if self._container is None or stream.time_base is None:
            return
        self._decoded.clear()
        try:
            self._container.seek(int(seconds / stream.time_base) + (stream.start_time or 0), stream=stream)
        except av.error.FFmpegError:
            return  # it is read on from where it is
        self._stamps = _Stamps()
        self._packets = self._container.demux(stream)

    def stream(self, duration: float | None) -> Stream:
        """See Reader."""
        hardware = "none" if self._software else "nvdec"
        return Stream("PYAV", self._opened.codec_context.codec.name, self.fps, duration, hardware)

    def close(self) -> None:
        """See Reader."""
        self._packets = iter(())
        self._decoded.clear()
        self._frame = self._stream = self._file = None
        container, self._container = self._container, None
        if container is not None:
            container.close()

    @property
    def _opened(self) -> VideoStream:
        if self._stream is None:
            raise RuntimeError("it is not open")
        return self._stream

    def _hardware(self) -> Any:
        """What av.open decodes with; None: the CPU. Makes the GPU the calling thread's."""
        if self._software:
            return None
        _use_gpu()
        hwaccel = importlib.import_module("av.codec.hwaccel")
        # FFmpeg is to use the context that everything else of this process uses, whatever flags it was made with.
        options = {"primary_ctx": "0", "current_ctx": "1"}
        return hwaccel.HWAccel("cuda", allow_software_fallback=False, options=options, is_hw_owned=True)

    def _decoded_frame(self) -> VideoFrame | None:
        """Waits for the next one; None where there is none."""
        av, began = _av(), time.monotonic()
        while not self._decoded:
            try:
                packet = next(self._packets, None)
            except av.error.FFmpegError:
                return None
            self._ended = packet is None
            if packet is None or time.monotonic() - began >= self._longest:
                return None
            try:
                self._decoded.extend(packet.decode())
            except av.error.FFmpegError:
                if self._frame is None and packet.is_keyframe:
                    return None  # another decoder may know this kind of stream
        return self._decoded.popleft()

    def _rewound(self, source: str) -> bool:
        """Whether a file that has ended is at its first frame again, which saves making another decoder on the GPU."""
        stream, container = self._stream, self._container
        if stream is None or container is None or not self._ended or self._file != _identity(source):
            return False
        try:
            container.seek(stream.start_time or 0, stream=stream)
        except _av().error.FFmpegError:
            return False
        self._frame = None
        self._packets = container.demux(stream)
        frame = self._decoded_frame()
        if frame is None or self._first is None or (frame.pts, frame.dts) != self._first:
            return False
        self._stamps = _Stamps()
        self._decoded.appendleft(frame)
        return True

    def _take(self, frame: VideoFrame) -> None:
        """The next frame, and where it is on the stream's clock."""
        stamp, tick = self._stamps.best(frame), self._tick
        if self._frame is None:
            self._first = None if stamp is None else (frame.pts, frame.dts)
        if stamp is not None and tick is not None:
            self._position = (stamp - self._begin) * tick
        else:
            self._position = 0.0 if self._frame is None else self._position + 1 / (self.fps or _FALLBACK_FPS)
        self._frame = frame


def _identity(file: str) -> tuple[int, ...] | None:
    """Another one for every other file, also of the same name."""
    try:
        found = Path(file).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


class _Stamps:
    """Which of a frame's two time stamps to believe, as FFmpeg's best effort: of some containers only one grows."""

    def __init__(self) -> None:
        self._last: list[int | None] = [None, None]
        """PTS and DTS of the frame before"""
        self._faults = [0, 0]
        """how often each did not grow"""

    def best(self, frame: VideoFrame) -> int | None:
        """In units of the stream's time base; None where it has neither."""
        stamps = frame.pts, frame.dts
        for index, stamp in enumerate(stamps):
            last = self._last[index]
            if stamp is not None:
                self._faults[index] += last is not None and stamp <= last
                self._last[index] = stamp
        pts, dts = stamps
        return pts if pts is not None and (dts is None or self._faults[0] <= self._faults[1]) else dts


def _use_gpu() -> None:
    """Makes it the calling thread's. Raises UndecodableError, also where it has no room for one more decoder."""
    try:
        free = use_primary_context()
    except OSError as error:
        raise UndecodableError(Reason.UNSUPPORTED, f"the NVIDIA GPU cannot be used: {error}") from error
    if free < _ROOM:
        detail = f"the GPU has {free / 1e6:.0f} MB of memory free, and decoding may take {_ROOM / 1e6:.0f} MB"
        raise UndecodableError(Reason.NO_RESOURCES, detail)

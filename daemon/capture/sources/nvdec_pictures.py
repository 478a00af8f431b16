"""Frames of PyAV as pictures: NV12 on the GPU that decoded it, or in host memory."""

from __future__ import annotations

import ctypes
import functools
from collections import deque
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engines.pictures import ColourMatrix, Nv12Picture

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

GPU = 0
_FULL_RANGE = 2  # AVCOL_RANGE_JPEG
_BT601 = (4, 5, 6)  # AVCOL_SPC_FCC, _BT470BG, _SMPTE170M
_UNSPECIFIED = 2  # AVCOL_SPC_UNSPECIFIED
_HD = 720  # lines from which on a stream that does not say so has the colours of HD
_DISABLE_TIMING = 2
_LEGACY_STREAM = ctypes.c_void_p(1)
"""CU_STREAM_LEGACY, on which FFmpeg writes where it was given no other"""


@functools.cache
def primary_context() -> tuple[ctypes.CDLL, ctypes.c_void_p]:
    """The driver's library and the context of the GPU that the rest of this process uses. Raises OSError."""
    cuda = ctypes.CDLL("libcuda.so.1")
    device, context = ctypes.c_int(), ctypes.c_void_p()
    check(cuda.cuInit(0), "cuInit")
    check(cuda.cuDeviceGet(ctypes.byref(device), GPU), "cuDeviceGet")
    check(cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), device), "cuDevicePrimaryCtxRetain")
    return cuda, context


def use_primary_context() -> int:
    """Makes it the calling thread's; bytes of the GPU's memory that are free. Raises OSError."""
    cuda, context = primary_context()
    check(cuda.cuCtxSetCurrent(context), "cuCtxSetCurrent")
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    check(cuda.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total)), "cuMemGetInfo")
    return free.value


def check(code: int, call: str) -> None:
    """Raises OSError for a result of the driver other than CUDA_SUCCESS."""
    if code:
        raise OSError(f"{call} gives CUDA error {code}")


def picture_of(frame: VideoFrame) -> Nv12Picture:
    """A frame that was just decoded, in the thread that decoded it. Raises av.error.FFmpegError, OSError."""
    full_range = frame.color_range == _FULL_RANGE or frame.format.name.startswith("yuvj")
    layout = getattr(frame, "sw_format", None)  # PyAV 17 does not tell
    if layout is None or layout.name != "nv12":
        frame = _in_host_memory(frame, full_range)
        return Nv12Picture.in_host_memory(_planes(frame), frame.width, _matrix(frame), full_range, frame)
    held = _Held(frame)
    luma, chroma = frame.planes
    return Nv12Picture(
        width=frame.width,
        height=frame.height,
        luma=luma.buffer_ptr,
        chroma=chroma.buffer_ptr,
        pitch=luma.line_size,
        matrix=_matrix(frame),
        full_range=full_range,
        gpu=GPU,
        ready=held.decoded,
        owner=held,
        read=lambda: _planes(_in_host_memory(frame, full_range)),
    )


_events: deque[int] = deque()
"""those that nobody waits for; made once and used again, whichever camera it is"""


class _Held:
    """Keeps a frame on the GPU, and the event after which it is written."""

    __slots__ = ("decoded", "frame")

    def __init__(self, frame: VideoFrame) -> None:
        """Raises OSError."""
        self.frame = frame
        try:
            self.decoded = _events.popleft()
        except IndexError:
            self.decoded = _new_event()
        check(_record()(self.decoded, _LEGACY_STREAM), "cuEventRecord")

    def __del__(self) -> None:
        if hasattr(self, "decoded"):
            _events.append(self.decoded)


@functools.cache
def _record() -> ctypes._NamedFuncPointer:
    """cuEventRecord, which takes a microsecond: getting the GIL back would take longer, so it is kept."""
    record = ctypes.PyDLL("libcuda.so.1").cuEventRecord
    record.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    return record


def _new_event() -> int:
    event = ctypes.c_void_p()
    check(primary_context()[0].cuEventCreate(ctypes.byref(event), _DISABLE_TIMING), "cuEventCreate")
    return event.value or 0


def _in_host_memory(frame: VideoFrame, full_range: bool) -> VideoFrame:
    """The frame as NV12, copied from the GPU where it is there; also later and in another thread."""
    if frame.format.name == "nv12":
        return frame
    same = "JPEG" if full_range else "MPEG"
    return frame.reformat(format="nv12", src_color_range=same, dst_color_range=same)


def _planes(frame: VideoFrame) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Both, each [rows, pitch]; they keep the frame."""
    luma, chroma = (np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size) for plane in frame.planes)
    return luma, chroma


def _matrix(frame: VideoFrame) -> ColourMatrix:
    """As the stream says, or as most are of its size."""
    space = frame.colorspace
    old = frame.height < _HD if space == _UNSPECIFIED else space in _BT601
    return ColourMatrix.BT601 if old else ColourMatrix.BT709

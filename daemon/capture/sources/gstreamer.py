"""A GStreamer pipeline that ends in an appsink, where OpenCV is built with GStreamer."""

from __future__ import annotations

import math
import re
import subprocess
import sys

import cv2

from daemon.capture.sources.base import BeginCall, Source, SourceError, begin_opening
from daemon.capture.sources.diagnosis import need_backend
from daemon.capture.sources.opencv import OpenCvReader
from daemon.capture.sources.opencv_options import timeouts
from daemon.capture.sources.video import VideoSource
from daemon.config.camera import Camera
from daemon.records import Reason
from engines.pictures import ColourMatrix, Image, Nv12Picture, Picture

_NO_GSTREAMER = (
    "this OpenCV is built without GStreamer; give the camera as rtsp://, http:// or /dev/video0, "
    "or run ospreyd with an OpenCV that has it, such as Debian's python3-opencv"
)
_NO_VIDEO = "the pipeline gives no video; try it with gst-launch-1.0"
_LAST_CAPS = re.compile(r"\bvideo/x-raw([^!]*)!\s*appsink\b[^!]*\Z")
"""the caps right before the appsink: the only ones that its frames are sure to have"""
_MATRICES = {"bt601": ColourMatrix.BT601, "bt709": ColourMatrix.BT709}
"""by the names of their colorimetry in caps, which is of limited range"""
_STANDARD_DEFINITION = 576
"""lines; a picture with more is BT.709 where its caps do not say otherwise, as in GStreamer itself"""
_FIELD = re.compile(r"\b(format|colorimetry)\s*=\s*(?:\(string\)\s*)?([^\s,;\"']+)")

_TRY = """
import os, signal, sys, cv2
signal.alarm(int(sys.argv[1]))
capture = cv2.VideoCapture(sys.stdin.read(), cv2.CAP_GSTREAMER)
if not capture.isOpened() or not capture.grab():
    os._exit(1)
capture.release()
"""


class GStreamerSource(VideoSource):
    """Live, whatever the pipeline reads."""

    def _choose_reader(self) -> tuple[OpenCvReader, None]:
        parameters = timeouts(self._camera) if _has_timeouts() else ()
        self._opencv = OpenCvReader(cv2.CAP_GSTREAMER, _NO_GSTREAMER, parameters)
        return self._opencv, None

    def _open_reader(self) -> bool:
        need_backend(cv2.CAP_GSTREAMER, _NO_GSTREAMER)
        caps = _LAST_CAPS.search(self._camera.source)
        fields = dict(_FIELD.findall(caps[1])) if caps else {}
        # OpenCV gives NV12, NV21, I420 and YV12 in the same shape and does not say which
        self._is_nv12 = fields.get("format") == "NV12"
        colorimetry = fields.get("colorimetry")
        self._matrix = None if colorimetry is None else _MATRICES.get(colorimetry)
        """None: as pictures of that height are"""
        if self._is_nv12 and colorimetry is not None and self._matrix is None:
            known = " and ".join(_MATRICES)
            detail = f"NV12 can be converted from {known}, not from colorimetry={colorimetry}; convert it to BGR"
            raise SourceError(Reason.UNSUPPORTED, detail)
        _need_video(self._camera)
        begin_opening(self._camera, self._begin)
        return self._reader.open(self._camera.source)

    def retrieve(self, into: Image | None) -> Picture:
        """See Source."""
        if not self._is_nv12:
            return super().retrieve(into)
        planes = self._opencv.decoded(None)
        if planes.ndim != 2 or planes.shape[0] % 3 or planes.shape[1] % 2:
            detail = "NV12 of an odd width or height cannot be converted; scale it, or convert it to BGR"
            raise SourceError(Reason.UNSUPPORTED, detail)
        height, width = planes.shape[0] * 2 // 3, planes.shape[1]
        matrix = self._matrix or (ColourMatrix.BT709 if height > _STANDARD_DEFINITION else ColourMatrix.BT601)
        return Nv12Picture.in_host_memory((planes[:height], planes[height:]), width, matrix, False, planes)

    def _why_not_opened(self, waited: float) -> SourceError:
        return SourceError(Reason.NO_VIDEO, _NO_VIDEO)


def open_source(camera: Camera, begin: BeginCall) -> Source:
    """See daemon.capture.sources.open."""
    return GStreamerSource(camera, begin)


def _need_video(camera: Camera) -> None:
    """Tries the pipeline in another process. Raises SourceError if it gives no frame.

    OpenCV frees a pipeline that does not start while its elements still run, which may end the process. One without
    time-outs waits for ever for an element that gives nothing.
    """
    limit = math.ceil(camera.open_timeout)
    command = [sys.executable, "-c", _TRY, str(limit + 1)]
    quiet = subprocess.DEVNULL
    try:
        # through a pipe, because everybody may read the arguments of a process, and pipelines hold passwords
        tried = subprocess.run(
            command, input=camera.source, text=True, timeout=limit, stdout=quiet, stderr=quiet, check=False
        )
    except subprocess.TimeoutExpired as error:
        detail = f"the pipeline gives no video within {limit} s; try it with gst-launch-1.0"
        raise SourceError(Reason.TIMEOUT, detail) from error
    except OSError as error:
        raise SourceError(Reason.NO_VIDEO, f"the pipeline cannot be tried: {error.strerror}") from error
    if tried.returncode:
        raise SourceError(Reason.NO_VIDEO, _NO_VIDEO)


def _has_timeouts() -> bool:
    """An older OpenCV opens no pipeline that is given time-outs."""
    major, minor = cv2.__version__.split(".")[:2]
    return (int(major), int(minor)) >= (4, 7)

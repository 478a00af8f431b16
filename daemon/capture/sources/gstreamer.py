"""A GStreamer pipeline that ends in an appsink, where OpenCV is built with GStreamer."""

from __future__ import annotations

import cv2

from daemon.capture.sources.base import BeginCall, Source, SourceError
from daemon.capture.sources.diagnosis import need_backend
from daemon.capture.sources.opencv import OpenCvSource
from daemon.capture.sources.opencv_options import timeouts
from daemon.config.camera import Camera
from daemon.records import Reason

_NO_GSTREAMER = (
    "this OpenCV is built without GStreamer; give the camera as rtsp://, http:// or /dev/video0, "
    "or run ospreyd with an OpenCV that has it, such as Debian's python3-opencv"
)


class GStreamerSource(OpenCvSource):
    """Live, whatever the pipeline reads."""

    def _open_capture(self) -> bool:
        need_backend(cv2.CAP_GSTREAMER, _NO_GSTREAMER)
        return self._capture.open(self._camera.source, cv2.CAP_GSTREAMER, timeouts(self._camera))

    def _why_not_opened(self, waited: float) -> SourceError:
        return SourceError(Reason.NO_VIDEO, "the pipeline gives no video; try it with gst-launch-1.0")


def open_source(camera: Camera, begin: BeginCall) -> Source:
    """See daemon.capture.sources.open."""
    return GStreamerSource(camera, begin)

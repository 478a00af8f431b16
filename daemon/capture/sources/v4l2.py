"""A USB or CSI camera of this host, through V4L2."""

from __future__ import annotations

import os
from pathlib import Path

import cv2

from daemon.capture.sources.base import BeginCall, Source, SourceError
from daemon.capture.sources.diagnosis import not_accessible
from daemon.capture.sources.opencv import OpenCvReader
from daemon.capture.sources.video import VideoSource
from daemon.config.camera import Camera
from daemon.records import Reason

_NO_V4L2 = "this OpenCV is built without V4L2; install the package opencv-python"


class V4l2Source(VideoSource):
    """A device may be unplugged at any time."""

    def _choose_reader(self) -> tuple[OpenCvReader, None]:
        return OpenCvReader(cv2.CAP_V4L2, _NO_V4L2, _parameters(self._camera)), None

    def _open_reader(self) -> bool:
        device = _path(self._camera)
        _need_device(device)
        return self._reader.open(str(device))

    def _why_not_opened(self, waited: float) -> SourceError:
        why = "does it have that `format` and `size`" if _parameters(self._camera) else "is another program using it"
        return SourceError(Reason.NO_VIDEO, f"{_path(self._camera)} gives no video; {why}?")

    def _why_lost(self, waited: float) -> SourceError:
        try:
            _need_device(_path(self._camera))
        except SourceError as error:
            return error
        return super()._why_lost(waited)


def open_source(camera: Camera, begin: BeginCall) -> Source:
    """See daemon.capture.sources.open."""
    return V4l2Source(camera, begin)


def _path(camera: Camera) -> Path:
    """Of the device, which may be configured as a bare index."""
    return Path(f"/dev/video{camera.source}" if camera.source.isdigit() else camera.source)


def _need_device(device: Path) -> None:
    try:
        device.stat()
    except OSError as error:
        raise not_accessible(device, error) from error
    if not os.access(device, os.R_OK | os.W_OK):
        detail = f"{device} may not be opened by the user of ospreyd; add that user to the group video"
        raise SourceError(Reason.UNAUTHORIZED, detail)


def _parameters(camera: Camera) -> list[int]:
    """Properties and their values in turn: the sizes that a device has depend on the format."""
    parameters = []
    if camera.format is not None:
        parameters += [cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*camera.format)]
    if camera.size is not None:
        width, height = camera.size
        parameters += [cv2.CAP_PROP_FRAME_WIDTH, width, cv2.CAP_PROP_FRAME_HEIGHT, height]
    return parameters

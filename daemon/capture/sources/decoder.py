"""Which library reads a camera's video, and on what it decodes: the one place that decides."""

from __future__ import annotations

import cv2

from daemon.capture.sources.nvdec import NvdecReader, nvdec_problem
from daemon.capture.sources.opencv import OpenCvReader
from daemon.capture.sources.opencv_options import decoding, timeouts
from daemon.capture.sources.reader import Reader
from daemon.config.camera import Camera
from engines.backends import choose, frames_on
from engines.errors import BackendError

ON_THE_CPU = "OpenCV decodes on the CPU"
"""how a sentence ends that says why NVDEC does not decode"""
_NO_FFMPEG = "this OpenCV is built without FFmpeg; install the package opencv-python"


def decided(camera: Camera, gpu: int | None) -> Camera:
    """The camera, with what `hw_acceleration: auto` means where its pictures are wanted on this GPU: NVDEC if it works.

    None: they are wanted in memory. Then decoding on a GPU is left to those who ask for it: each picture would have to
    be copied back.
    """
    if camera.hw_acceleration != "auto":
        return camera
    works = gpu is not None and nvdec_problem() is None
    return camera.model_copy(update={"hw_acceleration": "nvdec" if works else "none"})


def decided_for(camera: Camera, backend: str) -> Camera:
    """As `decided`, for a daemon with this `inference.backend`; which one works here is found out if that matters."""
    if camera.hw_acceleration != "auto" or nvdec_problem() is not None:
        return decided(camera, None)
    try:
        return decided(camera, frames_on(choose(backend)))
    except BackendError:
        return decided(camera, None)


def reader_of(camera: Camera) -> tuple[Reader, str | None]:
    """What reads the video of a camera with a URL or file; and why it is not NVDEC, where that is asked for."""
    if camera.hw_acceleration != "nvdec":
        return opencv_reader(camera), None
    problem = nvdec_problem()
    return (NvdecReader(camera), None) if problem is None else (opencv_reader(camera), f"{problem}; {ON_THE_CPU}")


def opencv_reader(camera: Camera) -> OpenCvReader:
    """OpenCV with its own FFmpeg."""
    return OpenCvReader(cv2.CAP_FFMPEG, _NO_FFMPEG, [*timeouts(camera), *decoding(camera)])

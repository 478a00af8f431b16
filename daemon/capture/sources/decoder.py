"""Which library reads a camera's video, and on what it decodes: the one place that decides."""

from __future__ import annotations

import cv2

from daemon.capture.sources.nvdec import NvdecReader, nvdec_problem
from daemon.capture.sources.opencv import OpenCvReader
from daemon.capture.sources.opencv_options import decoding, timeouts
from daemon.capture.sources.reader import Reader
from daemon.config.camera import Camera

ON_THE_CPU = "OpenCV decodes on the CPU"
"""how a sentence ends that says why NVDEC does not decode"""
_NO_FFMPEG = "this OpenCV is built without FFmpeg; install the package opencv-python"


def reader_of(camera: Camera) -> tuple[Reader, str | None]:
    """What reads the video of a camera with a URL or file; and why it is not NVDEC, where that is asked for.

    `auto` is OpenCV on the CPU until NVDEC has been measured in the whole daemon.
    """
    if camera.hw_acceleration != "nvdec":
        return opencv_reader(camera), None
    problem = nvdec_problem()
    return (NvdecReader(camera), None) if problem is None else (opencv_reader(camera), f"{problem}; {ON_THE_CPU}")


def opencv_reader(camera: Camera) -> OpenCvReader:
    """OpenCV with its own FFmpeg."""
    return OpenCvReader(cv2.CAP_FFMPEG, _NO_FFMPEG, [*timeouts(camera), *decoding(camera)])

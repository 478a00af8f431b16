"""Runs a camera's capture for a test and keeps what it did."""

from __future__ import annotations

import importlib.util
import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
from numpy.typing import NDArray

from daemon.capture.buffers import FrameMemory
from daemon.capture.camera import CameraThread
from daemon.capture.sources import video
from daemon.capture.sources.decoder import reader_of
from daemon.capture.sources.nvdec import NvdecReader
from daemon.capture.sources.reader import Reader
from daemon.config.camera import Camera
from daemon.records import CameraState, CameraStatus, Drop, Frame, Reason
from daemon.stats import Stats
from tests.conftest import missing, wait_for

Image = NDArray[np.uint8]
MEMORY = FrameMemory()


class Captured:
    """What one camera delivered and reported."""

    def __init__(self, keep_images: bool, consume: Callable[[Frame], None] | None) -> None:
        self.frames: list[Frame] = []
        """as delivered; their pictures are overwritten after release"""
        self.images: list[Image] = []
        """copies, if they are kept"""
        self.statuses: list[CameraStatus] = []
        self.failures: list[BaseException] = []
        self.stats = Stats()
        self._keep_images = keep_images
        self._consume = consume

    def deliver(self, frame: Frame) -> None:
        if self._keep_images:
            self.images.append(frame.image.host().copy())
        self.frames.append(frame)
        if self._consume:
            self._consume(frame)
        else:
            frame.release()

    def states(self) -> list[tuple[CameraState, Reason | None]]:
        return [(status.state, status.reason) for status in self.statuses]

    def wait_for_state(self, state: CameraState, reason: Reason | None = None, after: int = 0) -> CameraStatus:
        """The first status like this among those after the first `after` ones."""
        wanted = (state, reason)
        wait_for(lambda: wanted in self.states()[after:], f"{wanted} in {self.statuses}")
        return self.statuses[after + self.states()[after:].index(wanted)]

    def wait_for_frames(self, count: int) -> None:
        wait_for(lambda: len(self.frames) >= count, f"{count} frames")

    def dropped(self, reason: Drop) -> int:
        return self.stats.report(("cam",)).cameras["cam"].dropped.get(reason, 0)


@contextmanager
def capturing(
    source: str | Path,
    keep_images: bool = False,
    consume: Callable[[Frame], None] | None = None,
    memory: FrameMemory = MEMORY,
    **settings: Any,
) -> Iterator[Captured]:
    """The camera `cam`; each frame is released at once, unless `consume` is to do that. Must stop within 5 s."""
    captured = Captured(keep_images, consume)
    config = Camera(source=str(source), **settings)
    reports = captured.deliver, captured.statuses.append, captured.stats, captured.failures.append
    thread = CameraThread("cam", config, *reports, memory)
    thread.start()
    try:
        yield captured
    finally:
        thread.stop()
        stopped = thread.join(5.0)
    assert stopped, "the capture thread did not end within 5 s"
    assert captured.failures == []


@contextmanager
def decoded_by(decoder: str) -> Iterator[None]:
    """What reads videos meanwhile: `opencv`, `pyav` or `both`, one connection each in turn.

    PyAV reads as it does with NVDEC and decodes on the CPU. Skips the test where it is not installed.
    """
    if decoder == "opencv":
        yield
        return
    if importlib.util.find_spec("av") is None:
        missing("PyAV", "pip install av")
    opencv, turns = reader_of, itertools.cycle([True, decoder == "pyav"])

    def choose(camera: Camera) -> tuple[Reader, str | None]:
        return (NvdecReader(camera, software=True), None) if next(turns) else opencv(camera)

    with patch.object(video, "reader_of", choose):
        yield


def capture_threads() -> list[str]:
    """Names of the capture threads that are alive."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("capture:")]


def pictures(count: int, width: int = 64, height: int = 48) -> list[Image]:
    """Smooth pictures that differ from each other."""
    rng = np.random.default_rng(count)
    small = rng.integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
    return [np.asarray(cv2.resize(image, (width, height)), dtype=np.uint8) for image in small]


def write_video(file: Path, images: Sequence[Image], fps: float = 25.0) -> Path:
    """An MJPEG video."""
    height, width = images[0].shape[:2]
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"MJPG"), fps, (width, height))
    for image in images:
        writer.write(image)
    writer.release()
    return file


def read_video(file: Path) -> list[Image]:
    """Every frame, as OpenCV alone decodes it."""
    capture = cv2.VideoCapture(str(file), cv2.CAP_FFMPEG)
    images = []
    while (decoded := capture.read())[0]:
        images.append(np.asarray(decoded[1], dtype=np.uint8))
    capture.release()
    return images

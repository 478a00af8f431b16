"""A model manager with everything that it is wired to, and frames for its models."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.config.schema import Config
from daemon.inference.batcher import Batcher
from daemon.inference.frame_queue import FrameQueue
from daemon.inference.model_manager import ModelManager, ModelReports
from daemon.inference.worker import InferenceWorker
from daemon.records import Frame, FrameResult, ModelState, ModelStatus
from daemon.stats import Stats
from engines.backends import CPU, Backend
from engines.pictures import BgrPicture

_IMAGE = np.zeros((96, 128, 3), np.uint8)


def config(max_batch: int = 2, inference: dict[str, Any] | None = None, **model: Any) -> Config:
    """Of a model."""
    return Config.model_validate(
        {
            "device": "box",
            "mqtt": {"host": "localhost"},
            "cameras": {"a": {"source": "rtsp://a/1"}},
            "models": {"default": {"file": "street", **model}},
            "inference": {"backend": CPU, "max_batch": max_batch, **(inference or {})},
        }
    )


class Managed:
    """Its threads start when `start` of each is called."""

    def __init__(self, backend: Backend, cameras: Sequence[str]) -> None:
        self.failures: list[BaseException] = []
        self.results: list[FrameResult] = []
        self.times: list[float] = []
        """time.monotonic() of each result"""
        self.said: list[ModelStatus] = []
        """of the model, in the order told"""
        self.lost: dict[str, str] = {}
        self.released = threading.Event()
        stats = Stats()
        self.frames = FrameQueue(Batcher(dict.fromkeys(cameras, "default"), 0.0, 1e9), stats)
        self.inference = InferenceWorker("inference", self.frames, self._deliver, stats, self.failures.append)
        reports = ModelReports(threading.RLock(), self._told, self.lost.__setitem__)
        self.manager = ModelManager(backend, self.inference, self.frames, lambda _: 0.5, reports, self.failures.append)

    def start(self) -> None:
        self.inference.start()
        self.manager.start()

    def frame(self, sequence: int = 1, camera: str = "a", image: NDArray[np.uint8] = _IMAGE) -> None:
        """Hands one frame on."""
        self.frames.put(
            Frame(camera, sequence, BgrPicture(image), 0.0, time.monotonic(), None, True, self.released.set)
        )

    def longest_gap(self, camera: str, since: float) -> float:
        """Seconds between two results of a camera, from a time on until now."""
        times = [at for at, result in zip(self.times, self.results, strict=False) if result.camera == camera]
        steps = [since, *(at for at in times if at > since), time.monotonic()]
        return max(later - earlier for earlier, later in pairwise(steps))

    @property
    def state(self) -> ModelState | None:
        infos = self.manager.infos
        return infos["default"].status.state if "default" in infos else None

    def _told(self) -> None:
        if "default" in self.manager.infos:
            self.said.append(self.manager.infos["default"].status)

    def _deliver(self, results: Sequence[FrameResult], frames: Sequence[Frame]) -> None:
        self.times.extend([time.monotonic()] * len(results))
        self.results.extend(results)
        for frame in frames:
            frame.release()


@contextmanager
def managed(backend: Backend, cameras: Sequence[str] = ("a",)) -> Iterator[Managed]:
    """All of it; at the end it stops, and nothing may have failed."""
    made = Managed(backend, cameras)
    try:
        yield made
    finally:
        made.frames.close()
        made.manager.stop()
        made.inference.stop()
        assert made.inference.join(20.0)
        assert made.manager.join(20.0)
    assert made.failures == []


@contextmanager
def frames_coming(
    to: Managed, camera: str = "a", per_second: float = 100.0, image: NDArray[np.uint8] = _IMAGE
) -> Iterator[None]:
    """Frames of a camera as long as it is open."""
    stop = threading.Event()

    def offer() -> None:
        for sequence in count(1):
            if stop.wait(1 / per_second):
                return
            to.frame(sequence, camera, image)

    thread = threading.Thread(target=offer)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()

"""A model manager with everything that it is wired to, and frames for its models."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from daemon.batch import Batcher
from daemon.config.schema import Config
from daemon.handoff import Handoff
from daemon.infer import InferenceThread
from daemon.records import Frame, FrameResult, ModelState, ModelStatus
from daemon.serving import Serving
from daemon.stats import Stats
from engines.backends import CPU, Backend


def config(max_batch: int = 2, inference: dict[str, Any] | None = None, **model: Any) -> Config:
    """Of one camera, `a`, and its model."""
    return Config.model_validate(
        {
            "device": "box",
            "mqtt": {"host": "localhost"},
            "cameras": {"a": {"source": "rtsp://a/1"}},
            "models": {"default": model},
            "inference": {"backend": CPU, "max_batch": max_batch, **(inference or {})},
        }
    )


class Managed:
    """Its threads start when `start` of each is called."""

    def __init__(self, backend: Backend) -> None:
        self.failures: list[BaseException] = []
        self.results: list[FrameResult] = []
        self.said: list[ModelStatus] = []
        """of the model, in the order told"""
        self.lost: dict[str, str] = {}
        self.released = threading.Event()
        stats = Stats()
        self.frames = Handoff(Batcher({"a": "default"}, 0.0, 1e9), stats)
        self.inference = InferenceThread("inference", self.frames, self._deliver, stats, self.failures.append)
        self.manager = Serving(
            backend,
            self.inference,
            self.frames,
            lambda _: 0.5,
            self._told,
            self.lost.__setitem__,
            self.failures.append,
        )

    def start(self) -> None:
        self.inference.start()
        self.manager.start()

    def frame(self, sequence: int = 1) -> None:
        """Hands one frame on."""
        image = np.zeros((96, 128, 3), np.uint8)
        self.frames.put(Frame("a", sequence, image, 0.0, time.monotonic(), None, True, self.released.set))

    @property
    def state(self) -> ModelState | None:
        infos = self.manager.infos
        return infos["default"].status.state if "default" in infos else None

    def _told(self) -> None:
        if "default" in self.manager.infos:
            self.said.append(self.manager.infos["default"].status)

    def _deliver(self, results: Sequence[FrameResult], frames: Sequence[Frame]) -> None:
        self.results.extend(results)
        for frame in frames:
            frame.release()


@contextmanager
def managed(backend: Backend) -> Iterator[Managed]:
    """All of it; at the end it stops, and nothing may have failed."""
    made = Managed(backend)
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
def frames_coming(to: Managed) -> Iterator[None]:
    """A hundred frames a second as long as it is open."""
    stop = threading.Event()

    def offer() -> None:
        sequence = 0
        while not stop.wait(0.01):
            to.frame(sequence := sequence + 1)

    thread = threading.Thread(target=partial(offer))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()

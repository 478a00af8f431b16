"""A slot for one batch in flight: its streams, buffers, execution contexts and CUDA graphs."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engines.errors import BackendError
from engines.graphs.heads.base import CANONICAL
from engines.graphs.preprocess import IMAGES
from engines.pictures import Pixels
from engines.postprocess import Thresholds
from engines.tensorrt.device import Device, stage
from engines.tensorrt.graphs import Graph
from engines.tensorrt.intake import Intake
from engines.tensorrt.letterbox import Nv12Kernel
from engines.tensorrt.loading import LoadedEngine, set_shape
from engines.tensorrt.preprocessing import Preprocessing
from engines.tensorrt.results import Outputs, Results

_LOOK_EVERY = 20e-6  # seconds
_LOOKING = 2e-3  # seconds; after that an interrupt's latency does not matter
_PR_SET_TIMERSLACK = 29
_TIMER_SLACK = 1000  # nanoseconds; by default a thread that sleeps 20 µs is woken 50 µs late
_threads = threading.local()


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Seconds that the stages of a batch took on the GPU, waiting for one another's resources included."""

    upload: float
    preprocess: float
    detector: float
    read_back: float


class Slot:
    """For one thread at a time, whose device is the one given. Errors of CUDA become BackendError."""

    def __init__(
        self,
        device: Device,
        preprocess: LoadedEngine,
        detector: LoadedEngine,
        sizes: Sequence[int],
        make_results: Callable[[Outputs], Results],
        nv12: Nv12Kernel | None = None,
    ) -> None:
        """`sizes` of batches that the detector runs, ascending; a batch between two of them runs as the larger one.

        `nv12`: None where no batch has such pictures.
        """
        self.stream = device.stream()
        """all of the batch is in order on it, but for every second picture's preprocessing"""
        self.events = [device.event() for _ in range(5)]
        """of the last batch: begun, uploaded, preprocessed, detected, read back"""
        self._detector = detector.context()
        most = (sizes[-1], *detector.largest(IMAGES)[1:])
        picture_bytes = int(np.prod(most[1:])) * detector.dtype(IMAGES).itemsize
        self._images = device.memory(most[0] * picture_bytes)
        images = int(self._images)
        preprocessing = Preprocessing(device, preprocess, self.stream, images, picture_bytes)
        letterbox = None if nv12 is None else nv12.letterbox(images, most[0])
        self._intake = Intake(preprocessing, letterbox, device, self.stream)
        self._detector.set_tensor_address(IMAGES, int(self._images))
        set_shape(self._detector, IMAGES, most)
        shapes = [tuple(self._detector.get_tensor_shape(name)) for name in CANONICAL]
        outputs = Outputs(device, shapes, [detector.dtype(name) for name in CANONICAL])
        for name, memory in zip(CANONICAL, outputs.memory, strict=True):
            self._detector.set_tensor_address(name, int(memory))
        self.results = make_results(outputs)
        """of the last batch"""
        self._graphs = {size: self._record(size, most[1:]) for size in sizes}

    def start(self, pictures: Sequence[Pixels], thresholds: Thresholds) -> None:
        """Enqueues everything up to the read-back; returns before any of it is done.

        Pictures in page-locked memory and on the GPU are read where they are and must stay unchanged until `wait`.
        """
        begun, uploaded, preprocessed, detected, read_back = self.events
        count = len(pictures)
        with stage("the upload"):
            begun.record(self.stream)
            self._intake.upload(pictures)
            uploaded.record(self.stream)
        with stage("preprocessing"):
            self._intake.preprocess()
            preprocessed.record(self.stream)
        with stage("the detector engine"):
            self._graphs[min(size for size in self._graphs if size >= count)].launch()
            detected.record(self.stream)
        with stage("the read-back"):
            self.results.enqueue(count, thresholds, self.stream)
            read_back.record(self.stream)

    def wait(self) -> StageTimes:
        """Waits for the read-back."""
        with stage("its computation"):
            _wait(self.events[-1])
            times = [event.time_since(before) / 1e3 for before, event in zip(self.events, self.events[1:])]  # noqa: B905
        return StageTimes(*times)

    @property
    def side_stream(self) -> Any:
        """Where every second BGR picture of a batch is preprocessed."""
        return self._intake.side_stream

    @property
    def is_done(self) -> bool:
        """Whether `wait` would return at once."""
        with stage("its computation"):
            return bool(self.events[-1].query())

    def finish(self) -> None:
        """Waits for the batch in flight."""
        with stage("its computation"):
            self.stream.synchronize()

    def close(self) -> None:
        """Frees everything, what uses buffers before the buffers; nothing may be in flight."""
        for graph in self._graphs.values():
            graph.close()
        self._intake.close()
        self._detector = None
        self._images.free()
        self.results.free()

    def _record(self, size: int, picture: tuple[int, ...]) -> Graph:
        """The detector for so many pictures."""
        set_shape(self._detector, IMAGES, (size, *picture))

        def enqueue() -> None:
            if not self._detector.execute_async_v3(self.stream.handle):
                raise BackendError("TensorRT could not start the detector engine; its log says why")

        enqueue()  # compiles what has to be compiled; a graph cannot
        self.stream.synchronize()
        return Graph(self.stream, enqueue)


def _wait(event: Any) -> None:
    """Polls at first: an interrupt would wake the thread 60 µs late, and sometimes half a millisecond."""
    if not hasattr(_threads, "precise"):
        _threads.precise = ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, _TIMER_SLACK) == 0
    until = time.perf_counter() + _LOOKING
    while not event.query():
        if time.perf_counter() > until:
            event.synchronize()
            return
        time.sleep(_LOOK_EVERY)

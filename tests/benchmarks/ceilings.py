"""What the GPU does with one thing at a time: the ceilings that a session is held against."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.build.cache import EngineCache
from engines.graphs.heads.base import CANONICAL
from engines.graphs.preprocess import FRAMES, IMAGES
from engines.tensorrt.backend import TensorRt
from engines.tensorrt.build import Engines
from engines.tensorrt.device import Device, use_device
from engines.tensorrt.driver import download, upload
from engines.tensorrt.graphs import Graph
from engines.tensorrt.loading import LoadedEngine, set_shape

_WARM_UP = 20


@dataclass
class Alone:
    """Both engines, loaded, and memory for their inputs and outputs."""

    device: Device
    preprocess: LoadedEngine
    detector: LoadedEngine

    def detector_rate(self, batch: int, seconds: float, streams: int = 1) -> float:
        """Pictures per second through the detector engine, launched as CUDA graphs, on so many streams at once."""
        with self._detectors(batch, streams) as made:

            def launch() -> None:
                for graph, _ in made:
                    graph.launch()

            return _rate(launch, [stream for _, stream in made], seconds) * batch * streams

    def upload_rate(self, pictures: Sequence[NDArray[np.uint8]], seconds: float) -> float:
        """Pictures per second from page-locked memory to the GPU."""
        stream = self.device.stream()
        memory = [self.device.memory(p.nbytes) for p in pictures]

        def upload_all() -> None:
            for target, picture in zip(memory, pictures, strict=True):
                upload(int(target), picture, stream)

        rate = _rate(upload_all, [stream], seconds) * len(pictures)
        for target in memory:
            target.free()
        return rate

    def stages(self, picture: NDArray[np.uint8], runs: int = 500) -> dict[str, float]:
        """Seconds that each stage of one picture takes on the GPU when it is repeated with nothing else there."""
        stream = self.device.stream()
        source = self.device.memory(picture.nbytes)
        context = self.preprocess.context()
        set_shape(context, FRAMES, (1, *picture.shape))
        images = self.device.memory(
            int(np.prod(context.get_tensor_shape(IMAGES))) * self.preprocess.dtype(IMAGES).itemsize
        )
        context.set_tensor_address(FRAMES, int(source))
        context.set_tensor_address(IMAGES, int(images))
        outputs = self._outputs()
        copies = [(self.device.pinned((o.size,), np.uint8), self.device.memory(o.size)) for o in outputs]

        def read_back() -> None:
            for host, memory in copies:
                download(host.array, int(memory), stream)

        seconds = {
            "upload": _each(lambda: upload(int(source), picture, stream), stream, runs),
            "preprocess": _each(partial(context.execute_async_v3, stream.handle), stream, runs),
            "read_back": _each(read_back, stream, runs),
        }
        with self._detectors(1, 1) as [(graph, other)]:
            seconds["detector"] = _each(graph.launch, other, runs)
        del context
        for memory in (source, images, *(each for pair in copies for each in pair)):
            memory.free()
        return seconds

    def _outputs(self) -> list[NDArray[np.uint8]]:
        """Bytes of boxes, scores and labels of one picture."""
        context = self.detector.context()
        set_shape(context, IMAGES, (1, *self.detector.largest(IMAGES)[1:]))
        shapes = [(tuple(context.get_tensor_shape(name)), self.detector.dtype(name)) for name in CANONICAL]
        return [np.empty(int(np.prod(shape)) * dtype.itemsize, np.uint8) for shape, dtype in shapes]

    @contextmanager
    def _detectors(self, batch: int, streams: int) -> Iterator[list[tuple[Graph, Any]]]:
        made: list[tuple[Graph, Any]] = []
        buffers, contexts = [], []
        for _ in range(streams):
            stream, context = self.device.stream(), self.detector.context()
            buffers += self.detector.bind_largest(context, self.device)
            set_shape(context, IMAGES, (batch, *self.detector.largest(IMAGES)[1:]))
            context.execute_async_v3(stream.handle)
            stream.synchronize()
            made.append((Graph(stream, partial(context.execute_async_v3, stream.handle)), stream))
            contexts.append(context)
        try:
            yield made
        finally:
            for graph, stream in made:
                stream.synchronize()
                graph.close()
            contexts.clear()
            for buffer in buffers:
                buffer.free()


@contextmanager
def alone(engines: Engines, tensorrt: TensorRt, cache: EngineCache) -> Iterator[Alone]:
    """Loads both engines for as long as it is open."""
    device = use_device()
    with (
        closing(LoadedEngine(engines.preprocess, tensorrt, cache)) as preprocess,
        closing(LoadedEngine(engines.detector, tensorrt, cache)) as detector,
    ):
        yield Alone(device, preprocess, detector)


def _rate(launch: Callable[[], object], streams: Sequence[Any], seconds: float) -> float:
    """Launches per second with always some ahead."""
    for _ in range(_WARM_UP):
        launch()
    for stream in streams:
        stream.synchronize()
    launches, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        for _ in range(10):
            launch()
        launches += 10
        if launches % 50 == 0:  # what is ahead stays bounded
            for stream in streams:
                stream.synchronize()
    for stream in streams:
        stream.synchronize()
    return launches / (time.perf_counter() - began)


def _each(launch: Callable[[], object], stream: Any, runs: int) -> float:
    """Seconds on the GPU, back to back."""
    device = use_device()
    first, last = device.event(), device.event()
    for _ in range(_WARM_UP):
        launch()
    first.record(stream)
    for _ in range(runs):
        launch()
    last.record(stream)
    last.synchronize()
    return float(last.time_since(first)) / 1e3 / runs

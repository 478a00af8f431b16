"""How fast a detector engine is by itself: throughput and latency for each batch size, with and without CUDA graphs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.build.cache import EngineCache
from engines.graphs.preprocess import IMAGES
from engines.tensorrt.backend import TensorRt
from engines.tensorrt.device import Device, use_device
from engines.tensorrt.graphs import Graph
from engines.tensorrt.loading import LoadedEngine

_WARM_UP = 3


@dataclass(frozen=True, slots=True)
class Speed:
    """Of one batch size."""

    batch: int
    graph: bool
    """launched as a CUDA graph, not kernel by kernel"""
    throughput: float
    """pictures a second with always another batch waiting"""
    latency: float
    """seconds from start to done, one batch at a time, median"""
    host: float
    """seconds that starting a batch takes the host, median"""


def measure(
    plan: Path, tensorrt: TensorRt, cache: EngineCache, batches: Sequence[int], seconds: float = 1.0
) -> list[Speed]:
    """Runs the detector for `seconds` for each figure, on memory as it comes. Raises BackendError."""
    device = use_device()
    with closing(LoadedEngine(plan, tensorrt, cache)) as loaded:
        speeds = [speed for batch in batches for speed in _measure(loaded, device, batch, seconds)]
        loaded.keep_kernels()
        return speeds


def _measure(loaded: LoadedEngine, device: Device, batch: int, seconds: float) -> list[Speed]:
    context, stream = loaded.context(), device.stream()
    buffers = loaded.bind_largest(context, device)
    context.set_input_shape(IMAGES, (batch, *loaded.largest(IMAGES)[1:]))

    def enqueue() -> None:
        context.execute_async_v3(stream.handle)

    try:
        for _ in range(_WARM_UP):
            enqueue()
        stream.synchronize()
        graph = Graph(stream, enqueue)
        try:
            return [
                _speed(batch, launch is not enqueue, launch, device, stream, seconds)
                for launch in (enqueue, graph.launch)
            ]
        finally:
            stream.synchronize()
            graph.close()
    finally:
        for buffer in buffers:
            buffer.free()


def _speed(batch: int, graph: bool, launch: Callable[[], None], device: Device, stream: Any, seconds: float) -> Speed:
    latencies, hosts = [], []
    end = time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        launch()
        hosts.append(time.perf_counter() - began)
        stream.synchronize()
        latencies.append(time.perf_counter() - began)
    runs = max(1, int(seconds / statistics.median(latencies)))
    first, last = device.event(), device.event()
    first.record(stream)
    for _ in range(runs):
        launch()
    last.record(stream)
    last.synchronize()
    throughput = batch * runs / (last.time_since(first) / 1e3)
    return Speed(batch, graph, throughput, statistics.median(latencies), statistics.median(hosts))

"""CUDA graphs: kernels recorded once and launched together, which costs the host next to nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cuda.bindings import driver

from engines.tensorrt.driver import call, launch


class Graph:
    """What `enqueue` puts on a stream, ready to be launched again with the same addresses and shapes."""

    def __init__(self, stream: Any, enqueue: Callable[[], None]) -> None:
        """`enqueue` must have run once before with the same shapes; other streams may join in by events.

        Raises CudaError.
        """
        mode = driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        call(driver.cuStreamBeginCapture, stream.handle, mode)
        try:
            enqueue()
        finally:
            graph = call(driver.cuStreamEndCapture, stream.handle)
        try:
            self._ready = call(driver.cuGraphInstantiate, graph, 0)
        finally:
            call(driver.cuGraphDestroy, graph)
        self._stream = stream

    def launch(self) -> None:
        """Puts it on its stream. Raises CudaError."""
        launch(int(self._ready), self._stream.handle)

    def close(self) -> None:
        """Frees it; it must not be running."""
        driver.cuGraphExecDestroy(self._ready)  # fails only where the context is lost, and the graph with it

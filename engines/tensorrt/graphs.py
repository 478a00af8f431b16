"""CUDA graphs: kernels recorded once and launched together, which costs the host next to nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cuda.bindings import driver

from engines.errors import BackendError, GpuMemoryError


class CudaError(BackendError):
    """A function of the CUDA driver failed."""


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
        self._handle = stream.handle

    def launch(self) -> None:
        """Puts it on its stream. Raises CudaError."""
        call(driver.cuGraphLaunch, self._ready, self._handle)

    def close(self) -> None:
        """Frees it; it must not be running."""
        driver.cuGraphExecDestroy(self._ready)  # fails only where the context is lost, and the graph with it


def call(function: Callable[..., tuple[Any, ...]], *arguments: Any) -> Any:
    """Calls one of the CUDA driver's functions; its result. Raises CudaError and GpuMemoryError."""
    error, *values = function(*arguments)
    if error == driver.CUresult.CUDA_ERROR_OUT_OF_MEMORY:
        raise GpuMemoryError(f"the GPU has too little free memory ({function.__name__})")
    if error != driver.CUresult.CUDA_SUCCESS:
        raise CudaError(f"{function.__name__}: {error.name}")
    return values[0] if values else None

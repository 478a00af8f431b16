"""CUDA graphs: a batch's kernels recorded once and launched together, which costs the host next to nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cuda.bindings import driver

from engines.errors import BackendError


class Graph:
    """What `enqueue` puts on a stream, ready to be launched again with the same addresses and shapes."""

    def __init__(self, stream: Any, enqueue: Callable[[], None]) -> None:
        """`enqueue` must have run once before with the same shapes. Raises BackendError."""
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
        """Puts it on its stream."""
        call(driver.cuGraphLaunch, self._ready, self._handle)

    def close(self) -> None:
        """Frees it; it must not be running."""
        call(driver.cuGraphExecDestroy, self._ready)


def call(function: Callable[..., tuple[Any, ...]], *arguments: Any) -> Any:
    """Calls one of the CUDA driver's functions; its result. Raises BackendError."""
    error, *values = function(*arguments)
    if error != driver.CUresult.CUDA_SUCCESS:
        raise BackendError(f"{function.__name__}: {error.name}")
    return values[0] if values else None

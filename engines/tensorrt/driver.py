"""The CUDA driver: cuda-bindings, and direct calls for whatever must keep the GIL.

cuda-bindings releases the GIL around each call. What only puts something on a stream takes a few microseconds; getting
the GIL back, where the threads of sixteen cameras want it, took a hundred times as long (docs/benchmarks.md). So these
calls keep it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from cuda.bindings import driver
from numpy.typing import NDArray

from engines.errors import BackendError, GpuMemoryError

_HANDLE, _ADDRESS, _SIZE = ctypes.c_void_p, ctypes.c_uint64, ctypes.c_size_t
_cuda = ctypes.PyDLL("libcuda.so.1")


def _function(name: str, *arguments: Any) -> Callable[..., int]:
    function = getattr(_cuda, name)
    function.argtypes = arguments
    return function  # type: ignore[no-any-return]  # ctypes knows no more


_set_current = _function("cuCtxSetCurrent", _HANDLE)
_to_device = _function("cuMemcpyHtoDAsync_v2", _ADDRESS, _HANDLE, _SIZE, _HANDLE)
_to_host = _function("cuMemcpyDtoHAsync_v2", _HANDLE, _ADDRESS, _SIZE, _HANDLE)
_within = _function("cuMemcpyDtoDAsync_v2", _ADDRESS, _ADDRESS, _SIZE, _HANDLE)
_launch = _function("cuGraphLaunch", _HANDLE, _HANDLE)
_launch_kernel = _function("cuLaunchKernel", _HANDLE, *[ctypes.c_uint] * 7, _HANDLE, _HANDLE, _HANDLE)
_record = _function("cuEventRecord", _HANDLE, _HANDLE)
_query = _function("cuEventQuery", _HANDLE)
_elapsed = _function("cuEventElapsedTime", ctypes.POINTER(ctypes.c_float), _HANDLE, _HANDLE)
_wait = _function("cuStreamWaitEvent", _HANDLE, _HANDLE, ctypes.c_uint)


class CudaError(BackendError):
    """A function of the CUDA driver failed."""


def call(function: Callable[..., tuple[Any, ...]], *arguments: Any) -> Any:
    """Calls one of cuda-bindings' functions; its result, a tuple where there are several.

    Raises CudaError and GpuMemoryError.
    """
    error, *values = function(*arguments)
    _check(error, function.__name__)
    return values[0] if len(values) == 1 else tuple(values)


def set_current(context: int) -> None:
    """Makes a context the calling thread's. Raises CudaError."""
    _check(_set_current(context), "cuCtxSetCurrent")


def upload(target: int, source: NDArray[Any], stream: Any) -> None:
    """Puts on a stream a copy of a contiguous page-locked array to a device address. Raises CudaError."""
    _check(_to_device(target, source.ctypes.data, source.nbytes, stream.handle), "cuMemcpyHtoDAsync")


def download(target: NDArray[Any], source: int, stream: Any) -> None:
    """Puts on a stream a copy from a device address to a contiguous page-locked array. Raises CudaError."""
    _check(_to_host(target.ctypes.data, source, target.nbytes, stream.handle), "cuMemcpyDtoHAsync")


def copy(target: int, source: int, size: int, stream: Any) -> None:
    """Puts on a stream a copy of `size` bytes between two device addresses. Raises CudaError."""
    _check(_within(target, source, size, stream.handle), "cuMemcpyDtoDAsync")


def launch(graph: int, stream: int) -> None:
    """Puts an instantiated graph on a stream, both by their handles. Raises CudaError."""
    _check(_launch(graph, stream), "cuGraphLaunch")


def launch_kernel(
    function: int, grid: tuple[int, int, int], block: tuple[int, int, int], shared: int, stream: int, arguments: int
) -> None:
    """Puts a kernel on a stream, with `shared` bytes a block; `arguments` is the address of their addresses.

    Raises CudaError.
    """
    _check(_launch_kernel(function, *grid, *block, shared, stream, arguments, None), "cuLaunchKernel")


def record(event: int, stream: int) -> None:
    """Puts an event on a stream, both by their handles. Raises CudaError."""
    _check(_record(event, stream), "cuEventRecord")


def has_happened(event: int) -> bool:
    """Whether the GPU has reached an event. Raises CudaError."""
    code = _query(event)
    if code == driver.CUresult.CUDA_ERROR_NOT_READY:
        return False
    _check(code, "cuEventQuery")
    return True


def elapsed(first: int, last: int) -> float:
    """Milliseconds between two events that have happened. Raises CudaError."""
    milliseconds = ctypes.c_float()
    _check(_elapsed(ctypes.byref(milliseconds), first, last), "cuEventElapsedTime")
    return milliseconds.value


def wait_for(stream: int, event: int) -> None:
    """What is put on the stream from now on waits for the event. Raises CudaError."""
    _check(_wait(stream, event, 0), "cuStreamWaitEvent")


def _check(code: int, function: str) -> None:
    if code == driver.CUresult.CUDA_ERROR_OUT_OF_MEMORY:
        raise GpuMemoryError(
            f"the GPU has too little free memory ({function}); lower inference.max_batch or run fewer models"
        )
    if code:
        raise CudaError(f"{function}: {driver.CUresult(code).name}")

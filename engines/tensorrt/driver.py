"""The CUDA driver where PyCUDA does not reach it, or lets go of the interpreter when it should not.

PyCUDA and cuda-bindings let go of the interpreter around each call. What only puts something on a stream takes a few
microseconds; getting the interpreter back, where the threads of sixteen cameras want it, took a hundred times as long
(docs/benchmarks.md). So these calls keep it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from cuda.bindings import driver
from numpy.typing import NDArray

from engines.errors import BackendError, GpuMemoryError

_cuda = ctypes.PyDLL("libcuda.so.1")
_to_device = _cuda.cuMemcpyHtoDAsync_v2
_to_device.argtypes = (ctypes.c_uint64, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)
_to_host = _cuda.cuMemcpyDtoHAsync_v2
_to_host.argtypes = (ctypes.c_void_p, ctypes.c_uint64, ctypes.c_size_t, ctypes.c_void_p)
_launch = _cuda.cuGraphLaunch
_launch.argtypes = (ctypes.c_void_p, ctypes.c_void_p)


class CudaError(BackendError):
    """A function of the CUDA driver failed."""


def call(function: Callable[..., tuple[Any, ...]], *arguments: Any) -> Any:
    """Calls one of cuda-bindings' functions; its result. Raises CudaError and GpuMemoryError."""
    error, *values = function(*arguments)
    _check(error, function.__name__)
    return values[0] if values else None


def upload(target: int, source: NDArray[Any], stream: Any) -> None:
    """Puts on a stream a copy of a contiguous page-locked array to a device address. Raises CudaError."""
    _check(_to_device(target, source.ctypes.data, source.nbytes, stream.handle), "cuMemcpyHtoDAsync")


def download(target: NDArray[Any], source: int, stream: Any) -> None:
    """Puts on a stream a copy from a device address to a contiguous page-locked array. Raises CudaError."""
    _check(_to_host(target.ctypes.data, source, target.nbytes, stream.handle), "cuMemcpyDtoHAsync")


def launch(graph: int, stream: int) -> None:
    """Puts an instantiated graph on a stream, both by their handles. Raises CudaError."""
    _check(_launch(graph, stream), "cuGraphLaunch")


def _check(code: int, function: str) -> None:
    if code == driver.CUresult.CUDA_ERROR_OUT_OF_MEMORY:
        raise GpuMemoryError(f"the GPU has too little free memory ({function})")
    if code:
        raise CudaError(f"{function}: {driver.CUresult(code).name}")

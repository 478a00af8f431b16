"""One GPU: its primary context, and the streams, events and memory made in it.

TensorRT uses the primary context. It is retained once for the life of the process and made current in each thread that
uses the GPU, so what one thread makes another may use and free. Whatever is not freed before is freed with its object.
"""

from __future__ import annotations

import ctypes
import functools
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from cuda.bindings import driver
from numpy.typing import DTypeLike, NDArray

from engines.errors import BackendError, GpuMemoryError
from engines.tensorrt.driver import CudaError, call, elapsed, has_happened, record, set_current, wait_for

ALIGNMENT = 256
"""bytes; what TensorRT asks of addresses"""
_SHARES_MEMORY = driver.CUdevice_attribute.CU_DEVICE_ATTRIBUTE_INTEGRATED


class Device:
    """The primary context of one GPU."""

    def __init__(self, index: int) -> None:
        """Raises BackendError."""
        self.index = index
        try:
            call(driver.cuInit, 0)
            number = call(driver.cuDeviceGet, index)
            self.context = int(call(driver.cuDevicePrimaryCtxRetain, number))
            self.shares_memory = bool(call(driver.cuDeviceGetAttribute, _SHARES_MEMORY, number))
            """the GPU computes on the host's memory, as on a Jetson: page-locked memory needs no upload"""
        except BackendError as error:
            raise BackendError(f"NVIDIA GPU {index} cannot be used: {error}; nvidia-smi says more") from None

    def use(self) -> None:
        """Makes this the calling thread's GPU; needed before anything else here. Raises BackendError."""
        try:
            set_current(self.context)
        except CudaError as error:
            raise BackendError(f"the GPU failed in making its context current: {error}") from error

    def stream(self) -> Stream:
        """A stream of its own; never the default one, which all others would wait for. Raises CudaError."""
        return Stream(self)

    def event(self) -> Event:
        """An event that can be timed, and waited for without spinning. Raises CudaError."""
        return Event(self, driver.CUevent_flags.CU_EVENT_BLOCKING_SYNC)

    def marker(self) -> Event:
        """An event that other streams wait for; it has no time. Raises CudaError."""
        return Event(self, driver.CUevent_flags.CU_EVENT_DISABLE_TIMING)

    def pinned(self, shape: tuple[int, ...], dtype: DTypeLike) -> Pinned:
        """Page-locked host memory, from and to which copies run beside everything else. Raises BackendError."""
        return Pinned(self, shape, dtype)

    def memory(self, size: int) -> Memory:
        """Device memory of `size` bytes. Raises GpuMemoryError where there is not so much."""
        return Memory(self, size)

    def memory_info(self) -> tuple[int, int]:
        """Bytes that are free, and all there are. Raises CudaError."""
        free, total = call(driver.cuMemGetInfo)
        return free, total


@functools.cache
def _device(index: int) -> Device:
    return Device(index)


def use_device(index: int = 0) -> Device:
    """The GPU of that number, from now on the calling thread's. Raises BackendError."""
    device = _device(index)
    device.use()
    return device


class Stream:
    """Work that the GPU does in order; it does not wait for the default stream."""

    def __init__(self, device: Device) -> None:
        self.handle = int(call(driver.cuStreamCreate, driver.CUstream_flags.CU_STREAM_NON_BLOCKING))
        free_with(self, device, driver.cuStreamDestroy, self.handle)

    def synchronize(self) -> None:
        """Waits until everything on it is done. Raises CudaError."""
        call(driver.cuStreamSynchronize, self.handle)

    def wait_for_event(self, event: Event) -> None:
        """What is put on it from now on waits for the event. Raises CudaError."""
        wait_for(self.handle, event.handle)


class Event:
    """A point on a stream."""

    def __init__(self, device: Device, flags: Any) -> None:
        self.handle = int(call(driver.cuEventCreate, flags))
        free_with(self, device, driver.cuEventDestroy, self.handle)

    def record(self, stream: Stream) -> None:
        """Puts it on a stream. Raises CudaError."""
        record(self.handle, stream.handle)

    def query(self) -> bool:
        """Whether the GPU has reached it. Raises CudaError."""
        return has_happened(self.handle)

    def synchronize(self) -> None:
        """Waits until the GPU has reached it. Raises CudaError."""
        call(driver.cuEventSynchronize, self.handle)

    def time_since(self, other: Event) -> float:
        """Milliseconds since another one; both have happened. Raises CudaError."""
        return elapsed(other.handle, self.handle)


class Memory:
    """Memory on the GPU; `int` of it is its address there."""

    def __init__(self, device: Device, size: int) -> None:
        """Raises GpuMemoryError."""
        try:
            self._address = int(call(driver.cuMemAlloc, max(1, size)))
        except GpuMemoryError:
            free, total = device.memory_info()
            raise GpuMemoryError(
                f"the GPU has {free / 1e6:.0f} MB of {total / 1e6:.0f} MB free and {size / 1e6:.0f} MB are needed; "
                "lower inference.max_batch or run fewer models"
            ) from None
        self.free = free_with(self, device, driver.cuMemFree, self._address)
        """Nothing may use it any more."""

    def __int__(self) -> int:
        return self._address


class Pinned:
    """A page-locked array on the host."""

    def __init__(self, device: Device, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        """Raises BackendError."""
        element = np.dtype(dtype)
        size = int(np.prod(shape)) * element.itemsize
        try:
            address = int(call(driver.cuMemHostAlloc, max(1, size), driver.CU_MEMHOSTALLOC_DEVICEMAP))
        except BackendError as error:
            raise BackendError(f"no page-locked memory for an array of {shape}: {error}") from None
        block = (ctypes.c_uint8 * max(1, size)).from_address(address)
        self.array: NDArray[Any] = np.ctypeslib.as_array(block)[:size].view(element).reshape(shape)
        self.free = free_with(self, device, driver.cuMemFreeHost, address)
        """Nothing may use the array any more."""


def free_with(owner: object, device: Device, function: Callable[..., Any], handle: int) -> Callable[[], object]:
    """Frees a handle when the result is called, or else with its owner, in whatever thread that is."""
    free = weakref.finalize(owner, _free, device.context, function, handle)
    free.atexit = False  # when CUDA may be gone already
    return free


def _free(context: int, function: Callable[..., Any], handle: int) -> None:
    """Fails only where the context is lost, and the memory with it."""
    driver.cuCtxPushCurrent(context)
    function(handle)
    driver.cuCtxPopCurrent()


@contextmanager
def stage(what: str) -> Iterator[None]:
    """Errors of CUDA inside become BackendError, saying what the GPU was asked to do."""
    try:
        yield
    except CudaError as error:
        raise BackendError(f"the GPU failed in {what}: {error}") from error


def aligned(size: int) -> int:
    """`size` bytes, rounded up so that what follows is aligned."""
    return -(-size // ALIGNMENT) * ALIGNMENT

"""The GPU's primary context, its streams, events and buffers; all of it belongs to one thread.

TensorRT uses the primary context. PyCUDA would make a second one by itself, and memory that is freed under another
`retain_primary_context()` than the one it came from leaks. So each thread that runs lanes has one Device, which they
share and count, and everything is freed in that thread before the last of them lets go of it.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import pycuda.driver as cuda
from numpy.typing import DTypeLike, NDArray

from engines.errors import BackendError, GpuMemoryError
from engines.tensorrt.driver import CudaError

ALIGNMENT = 256
"""bytes; what TensorRT asks of addresses"""
_PR_SET_TIMERSLACK = 29
_TIMER_SLACK = 1000  # nanoseconds
_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING: does not wait for the default stream

_mine = threading.local()


class Device:
    """The primary context of one GPU, current in the thread that acquired it."""

    def __init__(self, index: int) -> None:
        try:
            cuda.init()
            device = cuda.Device(index)
            self._context = device.retain_primary_context()
            self._context.push()
            self.shares_memory = bool(device.get_attribute(cuda.device_attribute.INTEGRATED))
            """the GPU computes on the host's memory, as on a Jetson: page-locked memory needs no upload"""
        except cuda.Error as error:
            raise BackendError(f"NVIDIA GPU {index} cannot be used: {error}; nvidia-smi says more") from None
        self._users = 0
        # who waits 20 µs for the GPU would be woken 50 µs late otherwise; for this thread only
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, _TIMER_SLACK)

    @classmethod
    def acquire(cls, index: int = 0) -> Device:
        """This thread's device; `release` it in the same thread. Raises BackendError."""
        device: Device | None = getattr(_mine, "device", None)
        if device is None:
            device = _mine.device = cls(index)
        device._users += 1
        return device

    @classmethod
    @contextmanager
    def held(cls, index: int = 0) -> Iterator[Device]:
        """This thread's device for as long as it is open. Raises BackendError."""
        device = cls.acquire(index)
        try:
            yield device
        finally:
            device.release()

    def release(self) -> None:
        """Lets go of the device; the last user must have freed everything made under it."""
        self._users -= 1
        if self._users == 0:
            del _mine.device
            for let_go in (self._context.pop, self._context.detach):
                with suppress(cuda.Error):  # of a context that is lost
                    let_go()

    def stream(self) -> Any:
        """A stream of its own; never the default one, which all others would wait for."""
        return cuda.Stream(_NON_BLOCKING)

    def event(self) -> Any:
        """An event that can be timed, and waited for without spinning."""
        return cuda.Event(cuda.event_flags.BLOCKING_SYNC)

    def marker(self) -> Any:
        """An event that other streams wait for; it has no time."""
        return cuda.Event(cuda.event_flags.DISABLE_TIMING)

    def pinned(self, shape: tuple[int, ...], dtype: DTypeLike) -> Pinned:
        """Page-locked host memory, from and to which copies run beside everything else. Raises BackendError."""
        try:
            return Pinned(cuda.pagelocked_empty(shape, np.dtype(dtype), mem_flags=cuda.host_alloc_flags.DEVICEMAP))
        except cuda.Error as error:
            raise BackendError(f"no page-locked memory for an array of {shape}: {error}") from None

    def memory(self, size: int) -> Any:
        """Device memory of `size` bytes. Raises GpuMemoryError where there is not so much."""
        try:
            return cuda.mem_alloc(max(1, size))
        except cuda.MemoryError:
            free, total = cuda.mem_get_info()
            raise GpuMemoryError(
                f"the GPU has {free / 1e6:.0f} MB of {total / 1e6:.0f} MB free and {size / 1e6:.0f} MB are needed; "
                "lower inference.max_batch or run fewer models"
            ) from None


class Pinned:
    """A page-locked array."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.array = array
        self._allocation: Any = array.base

    def free(self) -> None:
        """Nothing may use the array any more."""
        self._allocation.free()


@contextmanager
def stage(what: str) -> Iterator[None]:
    """Errors of CUDA inside become BackendError, saying what the GPU was asked to do."""
    try:
        yield
    except cuda.MemoryError as error:
        raise GpuMemoryError(f"the GPU has too little free memory for {what}: {error}") from error
    except (cuda.Error, CudaError) as error:
        raise BackendError(f"the GPU failed in {what}: {error}") from error


def aligned(size: int) -> int:
    """`size` bytes, rounded up so that what follows is aligned."""
    return -(-size // ALIGNMENT) * ALIGNMENT

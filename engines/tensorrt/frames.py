"""Page-locked memory for frames, which any thread may ask for: the GPU reads it without a copy on the host."""

from __future__ import annotations

import ctypes
import functools
import math
import weakref
from typing import Any

import numpy as np
from cuda.bindings import driver
from numpy.typing import NDArray

from engines.errors import BackendError
from engines.tensorrt.driver import CudaError, call

_FLAGS = driver.CU_MEMHOSTALLOC_PORTABLE | driver.CU_MEMHOSTALLOC_DEVICEMAP
_addresses: set[int] = set()
"""of the frames that are in use"""


def allocate_frame(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """A page-locked uint8 array, freed with its last view. Raises BackendError.

    The primary context becomes current in the calling thread, which allocating asks for and nothing else here minds.
    """
    size = math.prod(shape)
    try:
        call(driver.cuCtxSetCurrent, _context())
        address = int(call(driver.cuMemHostAlloc, max(1, size), _FLAGS))
    except CudaError as error:
        raise BackendError(f"the GPU failed in making room for a frame: {error}") from error
    _addresses.add(address)
    buffer = (ctypes.c_uint8 * size).from_address(address)
    # not at exit, when CUDA may be gone already
    weakref.finalize(buffer, _free, address).atexit = False
    return np.ctypeslib.as_array(buffer).reshape(shape)


def is_page_locked(picture: NDArray[np.uint8]) -> bool:
    """Whether a picture lies in such memory, from its first byte on and without gaps."""
    return picture.flags.c_contiguous and picture.ctypes.data in _addresses


@functools.cache
def _context() -> Any:
    """The primary context, held for the life of the process."""
    call(driver.cuInit, 0)
    return call(driver.cuDevicePrimaryCtxRetain, call(driver.cuDeviceGet, 0))


def _free(address: int) -> None:
    _addresses.discard(address)
    # fails only where the context is lost, and the memory with it
    driver.cuCtxSetCurrent(_context())
    driver.cuMemFreeHost(address)

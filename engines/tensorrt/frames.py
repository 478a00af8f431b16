"""Page-locked memory for frames, which any thread may ask for: the GPU reads it without a copy on the host."""

from __future__ import annotations

import ctypes
import math

import numpy as np
from cuda.bindings import driver
from numpy.typing import NDArray

from engines.errors import BackendError
from engines.tensorrt.device import free_with, use_device
from engines.tensorrt.driver import CudaError, call

_FLAGS = driver.CU_MEMHOSTALLOC_PORTABLE | driver.CU_MEMHOSTALLOC_DEVICEMAP
_addresses: set[int] = set()
"""of the frames that are in use"""


def allocate_frame(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """A page-locked uint8 array, freed with its last view. Raises BackendError.

    The primary context becomes current in the calling thread, which allocating asks for and nothing else here minds.
    """
    size = math.prod(shape)
    device = use_device()
    try:
        address = int(call(driver.cuMemHostAlloc, max(1, size), _FLAGS))
    except CudaError as error:
        raise BackendError(f"the GPU failed in making room for a frame: {error}") from error
    _addresses.add(address)
    buffer = (ctypes.c_uint8 * size).from_address(address)
    free_with(buffer, device, _free, address)
    return np.ctypeslib.as_array(buffer).reshape(shape)


def is_page_locked(picture: NDArray[np.uint8]) -> bool:
    """Whether a picture lies in such memory, from its first byte on and without gaps."""
    return picture.flags.c_contiguous and picture.ctypes.data in _addresses


def _free(address: int) -> None:
    _addresses.discard(address)
    driver.cuMemFreeHost(address)

"""Uploads of a batch's images to the GPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from cuda.bindings import driver
from numpy.typing import NDArray

from engines.tensorrt.device import Device, Pinned, aligned
from engines.tensorrt.driver import call, upload
from engines.tensorrt.frames import is_page_locked


class Uploads:
    """Device memory for a batch of pictures, and page-locked memory for those that come from elsewhere.

    Both grow and do not shrink. Where the GPU computes on the host's memory nothing is copied to it.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._memory: Any = None
        self._size = 0
        self._staging: Pinned | None = None

    def enqueue(self, pictures: Sequence[NDArray[np.uint8]], stream: Any) -> tuple[int, ...]:
        """Enqueues the copies; where the GPU finds each picture. Raises BackendError."""
        offsets, size = [], 0
        for picture in pictures:
            offsets.append(size)
            size += aligned(picture.nbytes)
        if size > self._size:
            self._grow(size)
        sources = [
            picture if is_page_locked(picture) else self._staged(picture, offset)
            for picture, offset in zip(pictures, offsets, strict=True)
        ]
        if self._device.shares_memory:
            return tuple(int(call(driver.cuMemHostGetDevicePointer, s.ctypes.data, 0)) for s in sources)
        for source, offset in zip(sources, offsets, strict=True):
            upload(int(self._memory) + offset, source, stream)
        return tuple(int(self._memory) + offset for offset in offsets)

    def free(self) -> None:
        """Frees both; nothing may be in flight."""
        if self._staging is not None:
            self._staging.free()
            self._staging = None
        if self._memory is not None:
            self._memory.free()
            self._memory = None
        self._size = 0

    def _grow(self, size: int) -> None:
        self.free()
        if not self._device.shares_memory:
            self._memory = self._device.memory(size)
        self._size = size

    def _staged(self, picture: NDArray[np.uint8], offset: int) -> NDArray[np.uint8]:
        """A copy in page-locked memory."""
        if self._staging is None:
            self._staging = self._device.pinned((self._size,), np.uint8)
        place: NDArray[np.uint8] = self._staging.array[offset : offset + picture.nbytes].reshape(picture.shape)
        place[:] = picture
        return place

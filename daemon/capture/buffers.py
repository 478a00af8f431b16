"""A camera's frame buffers: bound its memory and save allocating each frame."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from daemon.capture.sources.base import Source, SourceError
from daemon.records import Reason
from engines.pictures import BgrPicture, Nv12Picture, Picture

Allocate: TypeAlias = Callable[[tuple[int, ...]], NDArray[np.uint8]]
"""allocates memory for a picture of a shape"""


@dataclass(frozen=True, slots=True)
class FrameMemory:
    """What the frames of a camera lie in."""

    frames: int = 4
    """that it may have in the pipeline at once; more where no frame is dropped"""
    allocate: Allocate | None = None
    """None: any memory is as good"""
    gpu: int | None = None
    """index of the GPU on which pictures may stay that were decoded there; None: all are wanted in memory"""


class Buffer:
    """Memory for one picture."""

    __slots__ = ("image", "ticket")

    def __init__(self) -> None:
        self.image: NDArray[np.uint8] | None = None
        """[H, W, 3] BGR; None until first used, and while the camera is away"""
        self.ticket = 0
        """of its last loan"""

    def fill(self, source: Source, memory: FrameMemory) -> Picture:
        """The grabbed frame of a source: where it is, if that is the GPU of `memory`, else as BGR in the buffer.

        Raises SourceError, also where there is no memory.
        """
        picture, allocate = source.retrieve(self.image), memory.allocate
        if isinstance(picture, Nv12Picture) and picture.gpu is not None and picture.gpu == memory.gpu:
            return picture
        image = picture.host(self.image)
        if allocate is not None and image is not self.image:  # the first one, or another size
            own = image
            fits = self.image is not None and self.image.shape == own.shape
            image = self.image if self.image is not None and fits else _allocated(allocate, own.shape)
            np.copyto(image, own)
        self.image = image
        return BgrPicture(image)


def _allocated(allocate: Allocate, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Memory for a picture. Raises SourceError."""
    try:
        return allocate(shape)
    except Exception as error:  # of whatever library the memory is from
        detail = f"there is no memory for the camera's pictures: {error}; give ospreyd more, or use fewer cameras"
        raise SourceError(Reason.NO_RESOURCES, detail) from error


class Buffers:
    """A pool that lends buffers to a camera's thread and takes them back from any thread; only `take` may wait."""

    def __init__(self, count: int, most_bytes: int = 0) -> None:
        """Holds `count` buffers, or more while all their pictures together take at most `most_bytes`."""
        self._count = count
        self._most_bytes = most_bytes
        self._largest = 0
        """bytes of a picture"""
        self._last = Buffer()
        """the latest one that was lent"""
        self._free: list[Buffer] = []
        self._lent: set[int] = set()
        self._tickets = 0
        self._away = self._closed = False
        self._changed = threading.Condition()

    def take(self, wait: bool) -> Buffer | None:
        """A free buffer. If there is none, waits for one if `wait`, else returns None; None also when closed."""
        with self._changed:
            if self._last.image is not None:
                self._largest = max(self._largest, self._last.image.nbytes)
            while len(self._lent) >= self._capacity() and wait and not self._closed:
                self._changed.wait()
            if len(self._lent) >= self._capacity():
                return None
            self._away = False
            self._tickets += 1
            self._last = buffer = self._free.pop() if self._free else Buffer()
            buffer.ticket = self._tickets
            self._lent.add(buffer.ticket)
            return buffer

    def give(self, buffer: Buffer, ticket: int) -> None:
        """Takes back what was lent with `ticket`. Raises RuntimeError the second time."""
        with self._changed:
            if ticket not in self._lent:
                raise RuntimeError("a frame was released twice")
            self._lent.remove(ticket)
            if self._away:
                buffer.image = None
            if len(self._lent) + len(self._free) < self._capacity():  # the capacity shrinks when pictures grow
                self._free.append(buffer)
            self._changed.notify()

    def drop_memory(self) -> None:
        """Frees all pictures, those that are lent when they are given back."""
        with self._changed:
            self._away = True
            for buffer in self._free:
                buffer.image = None

    def close(self) -> None:
        """Makes `take` return at once, now and later."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _capacity(self) -> int:
        """Capacity, buffers."""
        return max(self._count, self._most_bytes // self._largest if self._largest else 0)

"""One batch on its way through the GPU: its stream, buffers, execution contexts and CUDA graphs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pycuda.driver as cuda
from numpy.typing import NDArray

from engines.errors import BackendError
from engines.graphs.heads.base import CANONICAL
from engines.graphs.preprocess import FRAMES, IMAGES
from engines.tensorrt.device import ALIGNMENT, Device, Pinned, aligned, is_pinned
from engines.tensorrt.graphs import Graph
from engines.tensorrt.loading import LoadedEngine


class Slot:
    """Belongs to the thread that owns the device. Errors of CUDA become BackendError."""

    def __init__(self, device: Device, preprocess: LoadedEngine, detector: LoadedEngine, sizes: Sequence[int]) -> None:
        """`sizes` of batches that the detector runs, ascending; a batch between two of them runs as the larger one."""
        self._stream = device.stream()
        self._events = [device.event() for _ in range(4)]
        self._frames = _Frames(device)
        self._preprocess, self._detector = preprocess.context(), detector.context()
        self._frame_shape: tuple[int, ...] = ()
        most = (sizes[-1], *detector.largest(IMAGES)[1:])
        self._picture_bytes = int(np.prod(most[1:])) * detector.dtype(IMAGES).itemsize
        self._images = device.memory(most[0] * self._picture_bytes)
        # where places in the batch would not be aligned, pictures are written here first
        self._aside = device.memory(self._picture_bytes) if self._picture_bytes % ALIGNMENT else None
        self._detector.set_tensor_address(IMAGES, int(self._images))
        _set_shape(self._detector, IMAGES, most)
        self.outputs: list[Pinned] = []
        """boxes, scores and labels of the last batch, as in heads.base.CANONICAL"""
        self._device_outputs = []
        for name in CANONICAL:
            host = device.pinned(tuple(self._detector.get_tensor_shape(name)), detector.dtype(name))
            memory = device.memory(host.array.nbytes)
            self._detector.set_tensor_address(name, int(memory))
            self.outputs.append(host)
            self._device_outputs.append(memory)
        self._graphs = {size: self._record(size, most[1:]) for size in sizes}

    def start(self, pictures: Sequence[NDArray[np.uint8]]) -> None:
        """Enqueues everything up to the read-back; returns before any of it is done.

        Pictures in page-locked memory are uploaded from where they are and must stay unchanged until `wait`.
        """
        began, uploaded, preprocessed, detected = self._events
        try:
            began.record(self._stream)
            places = self._frames.upload(pictures, self._stream)
            uploaded.record(self._stream)
            for index, (picture, place) in enumerate(zip(pictures, places, strict=True)):
                self._enqueue_preprocess(picture.shape, place, index)
            preprocessed.record(self._stream)
            self._graphs[min(size for size in self._graphs if size >= len(pictures))].launch()
            detected.record(self._stream)
        except cuda.Error as error:
            raise BackendError(f"the GPU failed while a batch was started: {error}") from error

    def wait(self) -> tuple[float, float]:
        """Waits for the read-back; seconds of upload and preprocess, and of the detector."""
        began, _, preprocessed, detected = self._events
        try:
            detected.synchronize()
            return preprocessed.time_since(began) / 1e3, detected.time_since(preprocessed) / 1e3
        except cuda.Error as error:
            raise BackendError(f"the GPU failed while it computed: {error}") from error

    def close(self) -> None:
        """Waits for what is on its way and frees everything, what uses buffers before the buffers."""
        self._stream.synchronize()
        for graph in self._graphs.values():
            graph.close()
        self._preprocess = self._detector = None
        self._frames.free()
        for memory in (self._images, self._aside, *self._device_outputs, *self.outputs):
            if memory is not None:
                memory.free()

    def _record(self, size: int, picture: tuple[int, ...]) -> Graph:
        """The detector and the read-back for so many pictures."""
        _set_shape(self._detector, IMAGES, (size, *picture))

        def enqueue() -> None:
            self._run(self._detector, "detector")
            for host, memory in zip(self.outputs, self._device_outputs, strict=True):
                cuda.memcpy_dtoh_async(host.array[:size], memory, self._stream)

        enqueue()  # compiles what has to be compiled; a graph cannot
        self._stream.synchronize()
        return Graph(self._stream, enqueue)

    def _enqueue_preprocess(self, shape: tuple[int, ...], frame: int, index: int) -> None:
        """Writes the picture at device address `frame` to its place in the detector's batch."""
        to = int(self._images) + index * self._picture_bytes
        if shape != self._frame_shape:
            _set_shape(self._preprocess, FRAMES, (1, *shape))
            self._frame_shape = shape
        self._preprocess.set_tensor_address(FRAMES, frame)
        self._preprocess.set_tensor_address(IMAGES, to if self._aside is None else int(self._aside))
        self._run(self._preprocess, "preprocess")
        if self._aside is not None:
            cuda.memcpy_dtod_async(to, int(self._aside), self._picture_bytes, self._stream)

    def _run(self, context: Any, what: str) -> None:
        if not context.execute_async_v3(self._stream.handle):
            raise BackendError(f"TensorRT could not start the {what} engine; its log says why")


class _Frames:
    """Device memory for a batch of pictures, and page-locked memory for those that come from elsewhere.

    Both grow and do not shrink.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._memory: Any = None
        self._size = 0
        self._staging: Pinned | None = None

    def upload(self, pictures: Sequence[NDArray[np.uint8]], stream: Any) -> list[int]:
        """Enqueues the copies to the device; the device address of each picture."""
        offsets, size = [], 0
        for picture in pictures:
            offsets.append(size)
            size += aligned(picture.nbytes)
        if size > self._size:
            self._grow(size)
        for picture, offset in zip(pictures, offsets, strict=True):
            source = picture if is_pinned(picture) else self._staged(picture, offset)
            cuda.memcpy_htod_async(int(self._memory) + offset, source, stream)
        return [int(self._memory) + offset for offset in offsets]

    def free(self) -> None:
        """Frees both."""
        if self._staging is not None:
            self._staging.free()
            self._staging = None
        if self._memory is not None:
            self._memory.free()
            self._memory, self._size = None, 0

    def _grow(self, size: int) -> None:
        self.free()
        self._memory = self._device.memory(size)
        self._size = size

    def _staged(self, picture: NDArray[np.uint8], offset: int) -> NDArray[np.uint8]:
        """A copy in page-locked memory."""
        if self._staging is None:
            self._staging = self._device.pinned((self._size,), np.uint8)
        place: NDArray[np.uint8] = self._staging.array[offset : offset + picture.nbytes].reshape(picture.shape)
        place[:] = picture
        return place


def _set_shape(context: Any, name: str, shape: tuple[int, ...]) -> None:
    if not context.set_input_shape(name, shape):
        raise BackendError(f"TensorRT does not take {name} of shape {shape}")

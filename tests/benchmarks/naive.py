"""The loop that people write today: OpenCV letterbox, copy, run, wait, copy, NMS in NumPy; one picture at a time."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engines.graphs.heads.base import CANONICAL
from engines.graphs.preprocess import IMAGES
from engines.tensorrt.device import Device
from engines.tensorrt.driver import download, upload
from engines.tensorrt.loading import LoadedEngine, set_shape
from tests.benchmarks.by_hand import letterboxed, suppressed


class NaiveLoop:
    """What the loop does with one picture, with an engine whose candidates need no further decoding."""

    def __init__(self, device: Device, detector: LoadedEngine) -> None:
        self._context, self._stream = detector.context(), device.stream()
        self._kind = detector.dtype(IMAGES)
        shape = (1, *detector.largest(IMAGES)[1:])
        self._width, self._height = shape[3], shape[2]
        set_shape(self._context, IMAGES, shape)
        self._hosts = [np.empty(tuple(self._context.get_tensor_shape(n)), detector.dtype(n)) for n in CANONICAL]
        self._buffers = [device.memory(h.nbytes) for h in self._hosts]
        self._images = device.memory(int(np.prod(shape)) * self._kind.itemsize)
        for name, buffer in zip((*CANONICAL, IMAGES), (*self._buffers, self._images), strict=True):
            self._context.set_tensor_address(name, int(buffer))

    def __call__(self, picture: NDArray[np.uint8], confidence: float) -> int:
        """How many objects it has."""
        image = letterboxed(picture, self._width, self._height).astype(self._kind)
        upload(int(self._images), image, self._stream)
        self._context.execute_async_v3(self._stream.handle)
        for host, buffer in zip(self._hosts, self._buffers, strict=True):
            download(host, int(buffer), self._stream)
        self._stream.synchronize()
        boxes, scores, labels = (host[0] for host in self._hosts)
        keep = scores > confidence
        return len(suppressed(boxes[keep], scores[keep], labels[keep]))

    def close(self) -> None:
        """Frees everything."""
        self._context = None
        for buffer in (*self._buffers, self._images):
            buffer.free()


def naive_rate(
    device: Device, detector: LoadedEngine, pictures: Sequence[NDArray[np.uint8]], confidence: float, seconds: float
) -> float:
    """Pictures per second with the same detector engine."""
    loop, done, began = NaiveLoop(device, detector), 0, time.perf_counter()
    for picture in itertools.cycle(pictures):
        loop(picture, confidence)
        done += 1
        if time.perf_counter() - began > seconds:
            break
    rate = done / (time.perf_counter() - began)
    loop.close()
    return rate

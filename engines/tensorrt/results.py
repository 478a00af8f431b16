"""What a batch leaves on the GPU, and how it becomes detections: as candidates for the host, or after the GPU's NMS."""

from __future__ import annotations

import ctypes
import functools
import logging
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from cuda.bindings import driver

from engines.errors import BackendError
from engines.postprocess import Thresholds, of_batch, of_kept
from engines.records import Detections, Letterbox
from engines.tensorrt.device import Device, Memory, Pinned
from engines.tensorrt.driver import call, download
from engines.tensorrt.kernels import KernelModule

_log = logging.getLogger("ospreyd.tensorrt")
_THREADS = 256, 1, 1
_SHARED = 29
"""bytes a candidate, as the kernel says"""
_SHARED_OF_A_BLOCK = 48 * 1024
"""what every GPU gives a block without being asked"""
_KINDS = (np.dtype(np.float32), np.dtype(np.float32), np.dtype(np.int32))
"""elements of heads.base.CANONICAL that the kernel takes"""


class Results(Protocol):
    """Of one slot's batch."""

    def enqueue(self, count: int, thresholds: Thresholds, stream: Any) -> None:
        """Puts on a stream what follows the detector, for so many pictures. Raises CudaError."""

    def detections(self, letterboxes: Sequence[Letterbox], thresholds: Thresholds) -> tuple[Detections, ...]:
        """Of the pictures, in memory of their own; once the stream is done. Raises ModelError."""

    def free(self) -> None:
        """Frees everything; nothing may be in flight."""


class Outputs:
    """The detector's outputs in the GPU's memory, and page-locked arrays of the same shapes."""

    def __init__(self, device: Device, shapes: Sequence[tuple[int, ...]], kinds: Sequence[np.dtype[Any]]) -> None:
        """Shapes and elements of boxes, scores and labels, as in heads.base.CANONICAL, of the largest batch."""
        self.memory: list[Memory] = []
        self.host: list[Pinned] = []
        for shape, kind in zip(shapes, kinds, strict=True):
            self.host.append(device.pinned(shape, kind))
            self.memory.append(device.memory(self.host[-1].array.nbytes))

    def free(self) -> None:
        """Frees both."""
        for memory, host in zip(self.memory, self.host, strict=True):
            memory.free()
            host.free()


class Candidates:
    """All candidates are read back, and the host sorts them out."""

    def __init__(self, outputs: Outputs, nms: bool) -> None:
        self._outputs = outputs
        self._nms = nms

    def enqueue(self, count: int, _thresholds: Thresholds, stream: Any) -> None:
        """See Results."""
        for host, memory in zip(self._outputs.host, self._outputs.memory, strict=True):
            download(host.array[:count], int(memory), stream)

    def detections(self, letterboxes: Sequence[Letterbox], thresholds: Thresholds) -> tuple[Detections, ...]:
        """See Results."""
        boxes, scores, labels = (host.array[: len(letterboxes)] for host in self._outputs.host)
        return of_batch(boxes, scores, labels, letterboxes, thresholds, self._nms)

    def free(self) -> None:
        """See Results."""
        self._outputs.free()


class Kept:
    """The GPU does NMS and writes what it keeps straight into the host's memory, which is all that is read back.

    Candidates below the lowest score are left out before NMS, as on the host: none of them could suppress one above.
    """

    def __init__(self, device: Device, module: KernelModule, outputs: Outputs) -> None:
        self._outputs = outputs
        batch, candidates = outputs.host[1].array.shape
        self._counts = device.pinned((batch,), np.int32)
        self._shared = candidates * _SHARED
        self._confidence, self._iou = ctypes.c_float(), ctypes.c_float()
        addresses = [int(memory) for memory in outputs.memory]
        addresses += [_on_device(pinned) for pinned in (*outputs.host, self._counts)]
        arguments = (*map(ctypes.c_uint64, addresses), ctypes.c_int(candidates), self._confidence, self._iou)
        self._kernel = module.kernel("suppress", arguments)

    def enqueue(self, count: int, thresholds: Thresholds, stream: Any) -> None:
        """See Results."""
        self._confidence.value = thresholds.confidence
        self._iou.value = thresholds.iou
        self._kernel.launch((count, 1, 1), _THREADS, stream, self._shared)

    def detections(self, letterboxes: Sequence[Letterbox], thresholds: Thresholds) -> tuple[Detections, ...]:
        """See Results; where the lowest score is now lower than at `enqueue`, that one's."""
        size = len(letterboxes)
        boxes, scores, labels = (host.array[:size] for host in self._outputs.host)
        return of_kept(boxes, scores, labels, self._counts.array[:size], letterboxes, thresholds.confidence)

    def free(self) -> None:
        """See Results."""
        self._outputs.free()
        self._counts.free()


def results_maker(device: Device, nms: bool) -> Callable[[Outputs], Results]:
    """What makes the results of a slot; `nms`: whether the candidates need it."""
    module = _module(device) if nms else None

    def make(outputs: Outputs) -> Results:
        kinds = tuple(host.array.dtype for host in outputs.host)
        shared = outputs.host[1].array.shape[1] * _SHARED
        if module is None or kinds != _KINDS or shared > _SHARED_OF_A_BLOCK:
            return Candidates(outputs, nms)
        return Kept(device, module, outputs)

    return make


@functools.cache
def _module(device: Device) -> KernelModule | None:
    """None where the driver does not take it, which is logged."""
    try:
        return KernelModule(device, "nms")
    except BackendError as error:
        _log.warning("NMS runs on the CPU, which takes more of it: %s", error)
        return None


def _on_device(pinned: Pinned) -> int:
    """Where the GPU finds it."""
    return int(call(driver.cuMemHostGetDevicePointer, pinned.array.ctypes.data, 0))

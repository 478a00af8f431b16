"""One model on the GPU: while one batch computes, the next is uploaded and the last is read back."""

from __future__ import annotations

import ctypes
import logging
import time
import traceback
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.build.cache import EngineCache
from engines.errors import BackendError
from engines.graphs.preprocess import IMAGES
from engines.model import Model
from engines.pictures import Nv12Picture, Pixels
from engines.postprocess import Thresholds
from engines.records import BatchDetections, Handle, Letterbox
from engines.tensorrt.backend import TensorRt
from engines.tensorrt.build import LARGEST_FRAME, Engines
from engines.tensorrt.device import Device, stage, use_device
from engines.tensorrt.frames import allocate_frame
from engines.tensorrt.letterbox import Nv12Kernel
from engines.tensorrt.loading import LoadedEngine
from engines.tensorrt.results import results_maker
from engines.tensorrt.slots import Slot
from engines.text import counted

_log = logging.getLogger("ospreyd.tensorrt")
SLOTS = 4
"""with three an upload that is late leaves the GPU idle, with more nothing is gained (docs/benchmarks.md)"""
_SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
"""batches that the detector is compiled and recorded for; each costs a second or two at the first start"""


class TensorRtSession:
    """A model's two engines, with several batches in flight. For one thread at a time, not always the same."""

    def __init__(
        self,
        model: Model,
        thresholds: Thresholds,
        engines: Engines,
        tensorrt: TensorRt,
        cache: EngineCache,
        frame_sizes: Collection[tuple[int, int]] = (),
    ) -> None:
        """`frame_sizes` (height, width) are prepared for, so that no batch waits for kernels of that size.

        Raises BackendError; GpuMemoryError, and loading.PlanRefusedError where an engine has to be built again.
        """
        self._model = model
        self._thresholds = thresholds
        self._pending: dict[Handle, tuple[Letterbox, ...]] = {}
        self._submitted = 0
        self._loaded: list[LoadedEngine] = []
        self._slots: list[Slot] = []
        self._nv12: Nv12Kernel | None = None
        self._device = use_device()
        try:
            with stage("loading the engines"):
                for plan in (engines.preprocess, engines.detector):
                    self._loaded.append(LoadedEngine(plan, tensorrt, cache))
                preprocess, detector = self._loaded
                self._max_batch = detector.largest(IMAGES)[0]
                sizes = sorted({size for size in _SIZES if size < self._max_batch} | {self._max_batch})
                self._nv12 = _nv12_kernel(self._device, model, detector)
                results = results_maker(self._device, model.family.nms)
                shared = self._device, preprocess, detector, sizes, results, self._nv12
                self._slots.extend(Slot(*shared) for _ in range(SLOTS))
                self._warm_up(frame_sizes)
        except BaseException as error:
            traceback.clear_frames(error.__traceback__)  # they hold what a slot that is half made has allocated
            self.close()
            raise

    @property
    def slots(self) -> int:
        """How many batches may be submitted and not yet collected."""
        return SLOTS

    @property
    def max_batch(self) -> int:
        """Most pictures in a batch."""
        return self._max_batch

    def set_confidence(self, confidence: float) -> None:
        """See DetectorSession.set_confidence."""
        self._thresholds = replace(self._thresholds, confidence=confidence)

    def submit(self, pictures: Sequence[Pixels]) -> Handle:
        """Starts a batch of pictures, each of any size; BGR beyond 8K is made smaller on the host."""
        if len(self._pending) == SLOTS or not 1 <= len(pictures) <= self._max_batch:
            raise BackendError(
                f"{counted(len(pictures), 'picture')} with {counted(len(self._pending), 'batch')} pending: no room"
            )
        self._device.use()
        handle = Handle(self._submitted)
        self._submitted += 1
        model = self._model
        self._slots[handle % SLOTS].start([self._readable(picture) for picture in pictures], self._thresholds)
        self._pending[handle] = tuple(
            Letterbox.of(*_size(picture), model.width, model.height, model.geometry.fit) for picture in pictures
        )
        return handle

    def is_done(self, handle: Handle) -> bool:
        """Whether `collect` would not have to wait. Raises BackendError where the GPU failed."""
        self._device.use()
        return self._slots[handle % SLOTS].is_done

    def collect(self, handle: Handle) -> BatchDetections:
        """Waits for a batch, in the order submitted. Raises BackendError where the GPU failed."""
        self._device.use()
        letterboxes = self._pending.pop(handle)
        slot = self._slots[handle % SLOTS]
        times = slot.wait()
        began = time.perf_counter()
        detections = slot.results.detections(letterboxes, self._thresholds)
        postprocess = time.perf_counter() - began
        return BatchDetections(
            detections, times.upload + times.preprocess, times.detector + times.read_back, postprocess
        )

    def close(self) -> None:
        """Frees everything, in the order that TensorRT needs; batches not collected are lost.

        Raises BackendError where a part cannot be freed, after the others have been.
        """
        try:
            self._device.use()
            for slot in self._slots:
                slot.finish()
        except BackendError:  # the context is lost, and all this with it; freeing it would crash, also at exit
            ctypes.pythonapi.Py_IncRef(ctypes.py_object((self._slots, self._loaded, self._nv12)))
            return
        parts = [slot.close for slot in self._slots]
        self._slots.clear()
        parts += [step for loaded in self._loaded for step in (loaded.keep_kernels, loaded.close)]
        self._loaded.clear()
        _do_all(parts)

    def _readable(self, picture: Pixels) -> Pixels:
        """The picture as a slot takes it: converted on the host where there is no kernel or it is on another GPU."""
        if isinstance(picture, Nv12Picture):
            if self._nv12 is not None and picture.gpu in (None, self._device.index):
                return picture
            picture = picture.host()
        return _within_largest(picture)

    def _warm_up(self, frame_sizes: Collection[tuple[int, int]]) -> None:
        """Runs pictures through every slot, on both of its streams, so that no camera waits for the first kernels."""
        for height, width in frame_sizes or {(self._model.height, self._model.width)}:
            pictures = [_within_largest(allocate_frame((height, width, 3)))] * min(2, self._max_batch)
            for slot in self._slots:
                slot.start(pictures, self._thresholds)
                slot.wait()
        for loaded in self._loaded:
            loaded.keep_kernels()


def _nv12_kernel(device: Device, model: Model, detector: LoadedEngine) -> Nv12Kernel | None:
    """None where such pictures are to be converted on the host, which is logged."""
    try:
        return Nv12Kernel(device, model, detector.dtype(IMAGES))
    except BackendError as error:
        _log.warning("%s: pictures of NVDEC are converted on the CPU, which is slow: %s", model.path, error)
        return None


def _size(picture: Pixels) -> tuple[int, int]:
    """Width and height."""
    if isinstance(picture, Nv12Picture):
        return picture.width, picture.height
    return picture.shape[1], picture.shape[0]


def _do_all(steps: list[Callable[[], None]]) -> None:
    """Also where some fail; all their errors are in the BackendError at the end."""
    errors = []
    while steps:
        try:
            steps.pop(0)()
        except Exception as error:  # noqa: PERF203  there are few
            traceback.clear_frames(error.__traceback__)  # they hold what the next steps free
            errors.append(error)
    if errors:
        raise BackendError("; ".join(map(str, errors))) from errors[0]


def _within_largest(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture, made smaller where the preprocess engine would not take it."""
    height, width = picture.shape[:2]
    shrink = min(LARGEST_FRAME[0] / height, LARGEST_FRAME[1] / width)
    if shrink >= 1:
        return picture
    smaller = cv2.resize(picture, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    return smaller.astype(np.uint8, copy=False)

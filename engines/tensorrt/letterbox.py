"""A batch's NV12 pictures into the detector's input, by one kernel for all of them: letterbox.cu.

It does what engines/graphs/nv12.py says in ONNX. An engine built of that graph would be started once for each picture,
with new addresses each time, which costs the host more than the kernel takes for a whole batch.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import BackendError
from engines.graphs.preprocess import InputGeometry
from engines.model import Model
from engines.pictures import ColourMatrix, Nv12Picture, bgr_of_yuv
from engines.records import Fit, Letterbox
from engines.tensorrt.device import Device
from engines.tensorrt.driver import upload
from engines.tensorrt.kernels import KernelModule

_BLOCK = 32, 8, 1
_ELEMENTS = {np.dtype(np.float32): 0, np.dtype(np.float16): 1, np.dtype(np.uint8): 2}
_INT = np.int32
_PICTURE = np.dtype(
    [
        ("luma", np.uint64),
        ("chroma", np.uint64),
        *((name, _INT) for name in ("pitch", "width", "height", "left", "top", "new_width", "new_height", "index")),
        ("colours", np.float32, (3, 4)),
    ]
)
"""as in the kernel"""


class _Input(ctypes.Structure):
    """As in the kernel."""

    _fields_ = (
        *((name, ctypes.c_int) for name in ("width", "height", "element", "planar", "rgb")),
        ("pad", ctypes.c_float),
        ("mean", ctypes.c_float * 3),
        ("scale", ctypes.c_float * 3),
    )


@dataclass(frozen=True, slots=True)
class OnGpu:
    """A picture whose planes are on the GPU."""

    picture: Nv12Picture
    luma: int
    """device address"""
    chroma: int
    """device address"""
    place: int
    """in the detector's batch"""


class Nv12Kernel:
    """The kernel for one model; its slots share it."""

    def __init__(self, device: Device, model: Model, dtype: np.dtype[Any]) -> None:
        """`dtype` of the detector's input. Raises BackendError where there is no such kernel for it."""
        if dtype not in _ELEMENTS:
            raise BackendError(f"{model.path}: there is no kernel for an input of {dtype}")
        self._device = device
        self._model = model
        self._dtype = dtype
        self._module = _module(device)

    def letterbox(self, images: int, most: int) -> Nv12Letterbox:
        """For one slot; `images` is the address of the detector's input, of `most` pictures. Raises BackendError."""
        model = self._model
        described = _described(model.geometry, model.width, model.height, self._dtype, model.planar)
        return Nv12Letterbox(self._device, self._module, model, (images, described), most)


@functools.cache
def _module(device: Device) -> KernelModule:
    """Loaded once: the driver compiles it. Raises CudaError."""
    return KernelModule(device, "letterbox")


class Nv12Letterbox:
    """One slot's part of the work."""

    def __init__(
        self, device: Device, module: KernelModule, model: Model, target: tuple[int, _Input], most: int
    ) -> None:
        """`target`: address of the detector's input, and what it is like."""
        self._size = model.width, model.height
        self._fit = model.geometry.fit
        self._host = device.pinned((most,), _PICTURE)
        self._device = device.memory(self._host.array.nbytes)
        images, described = target
        arguments = ctypes.c_uint64(int(self._device)), ctypes.c_uint64(images), described
        self._kernel = module.kernel("letterbox", arguments)

    def enqueue(self, pictures: Sequence[OnGpu], stream: Any) -> None:
        """Enqueues some pictures; what the last call enqueued is done. Raises CudaError."""
        count = len(pictures)
        rows = self._host.array[:count]
        for row, each in enumerate(pictures):
            shown = each.picture
            source = shown.width, shown.height, shown.pitch, shown.matrix, shown.full_range
            rows[row] = _template(*source, *self._size, self._fit)
        rows["luma"] = [each.luma for each in pictures]
        rows["chroma"] = [each.chroma for each in pictures]
        rows["index"] = [each.place for each in pictures]
        upload(int(self._device), rows, stream)
        width, height = self._size
        self._kernel.launch((-(-width // _BLOCK[0]), -(-height // _BLOCK[1]), count), _BLOCK, stream)

    def free(self) -> None:
        """Frees everything; nothing may be in flight."""
        self._device.free()
        self._host.free()


def _described(geometry: InputGeometry, width: int, height: int, dtype: np.dtype[Any], planar: bool) -> _Input:
    triple = ctypes.c_float * 3
    scale = (1 / value for value in geometry.std)
    fixed = width, height, _ELEMENTS[dtype], planar, geometry.rgb
    return _Input(*fixed, geometry.pad, triple(*geometry.mean), triple(*scale))


@functools.lru_cache(maxsize=256)  # cameras keep their size
def _template(  # noqa: PLR0913, PLR0917  what it depends on
    width: int, height: int, pitch: int, matrix: ColourMatrix, full_range: bool, to_width: int, to_height: int, fit: Fit
) -> NDArray[Any]:
    """The record of a picture, all but where it is."""
    box = Letterbox.of(width, height, to_width, to_height, fit)
    record = np.zeros((), _PICTURE)
    for name, value in (("pitch", pitch), ("width", width), ("height", height)):
        record[name] = value
    for name, value in (("left", box.left), ("top", box.top), ("new_width", box.width), ("new_height", box.height)):
        record[name] = value
    record["colours"] = bgr_of_yuv(matrix, full_range)
    return record

"""From a batch's pictures, wherever they are, to the detector's input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.pictures import Nv12Picture, Pixels
from engines.tensorrt.device import Device
from engines.tensorrt.driver import wait_for
from engines.tensorrt.letterbox import Nv12Letterbox, OnGpu
from engines.tensorrt.preprocessing import Preprocessing
from engines.tensorrt.uploads import Uploads


class Intake:
    """One slot's part of the work: BGR goes through the preprocess engine, NV12 through a kernel.

    What is on the GPU already is read where it is.
    """

    def __init__(
        self, preprocessing: Preprocessing, letterbox: Nv12Letterbox | None, device: Device, stream: Any
    ) -> None:
        """`letterbox`: None where no batch has NV12."""
        self._preprocessing = preprocessing
        self._letterbox = letterbox
        self._uploads = Uploads(device)
        self._stream = stream
        self._bgr: list[tuple[tuple[int, ...], int, int]] = []
        """of the batch, as Preprocessing takes them"""
        self._on_gpu: list[OnGpu] = []
        """of the batch"""

    @property
    def side_stream(self) -> Any:
        """Where every second BGR picture is preprocessed."""
        return self._preprocessing.side_stream

    def upload(self, pictures: Sequence[Pixels]) -> None:
        """Enqueues the copies of what is not on the GPU, and waits there for what is being decoded."""
        copied: list[NDArray[np.uint8]] = []
        for picture in pictures:
            if not isinstance(picture, Nv12Picture):
                copied.append(picture)
            elif picture.gpu is None:
                copied.extend(picture.read())
            elif picture.ready is not None:
                wait_for(self._stream.handle, picture.ready)
        addresses = iter(self._uploads.enqueue(copied, self._stream))
        self._bgr, self._on_gpu = [], []
        for place, picture in enumerate(pictures):
            if not isinstance(picture, Nv12Picture):
                self._bgr.append((picture.shape, next(addresses), place))
            elif picture.gpu is None:
                self._on_gpu.append(OnGpu(picture, next(addresses), next(addresses), place))
            else:
                self._on_gpu.append(OnGpu(picture, picture.luma, picture.chroma, place))

    def preprocess(self) -> None:
        """Enqueues the rest, for the batch that was uploaded last."""
        if self._bgr:
            self._preprocessing.enqueue(tuple(self._bgr))
        if self._on_gpu and self._letterbox is not None:
            self._letterbox.enqueue(self._on_gpu, self._stream)
        self._bgr, self._on_gpu = [], []

    def close(self) -> None:
        """Frees everything; nothing may be in flight."""
        self._preprocessing.close()
        if self._letterbox is not None:
            self._letterbox.free()
        self._uploads.free()

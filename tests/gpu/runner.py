"""Runs one engine on one input and waits for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.build.cache import EngineCache
from engines.graphs.preprocess import FRAMES, IMAGES
from engines.tensorrt.backend import TensorRt
from engines.tensorrt.device import use_device
from engines.tensorrt.driver import download, upload
from engines.tensorrt.loading import LoadedEngine


class PreprocessRunner:
    """The preprocess engine alone."""

    def __init__(self, plan: Path, tensorrt: TensorRt, cache: EngineCache) -> None:
        self._device = use_device()
        self._engine = LoadedEngine(plan, tensorrt, cache)
        self._context = self._engine.context()
        self._stream = self._device.stream()

    def run(self, frames: NDArray[np.uint8]) -> NDArray[Any]:
        """Frames [B, h, w, 3] to images."""
        assert self._context.set_input_shape(FRAMES, frames.shape)
        out = np.empty(tuple(self._context.get_tensor_shape(IMAGES)), self._engine.dtype(IMAGES))
        source, target = self._device.memory(frames.nbytes), self._device.memory(out.nbytes)
        upload(int(source), frames, self._stream)
        self._context.set_tensor_address(FRAMES, int(source))
        self._context.set_tensor_address(IMAGES, int(target))
        assert self._context.execute_async_v3(self._stream.handle)
        download(out, int(target), self._stream)
        self._stream.synchronize()
        source.free()
        target.free()
        return out

    def close(self) -> None:
        self._context = None
        self._engine.close()

"""From a plan in the cache to an engine on the GPU, and the compiled kernels that TensorRT for RTX keeps beside it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engines.build.cache import EngineCache
from engines.errors import BackendError, CacheError, GpuMemoryError
from engines.tensorrt.backend import TensorRt
from engines.tensorrt.build import Engines

if TYPE_CHECKING:
    from engines.tensorrt.device import Device

_log = logging.getLogger("ospreyd.tensorrt")
_KERNELS = ".kernels"


def has_kernels(engines: Engines, tensorrt: TensorRt) -> bool:
    """Whether the kernels of both engines have been compiled, where that is not part of the build."""
    plans = engines.preprocess, engines.detector
    return not tensorrt.has_kernel_cache or all(plan.with_suffix(_KERNELS).is_file() for plan in plans)


class PlanRefusedError(BackendError):
    """A plan cannot be loaded: it is gone, damaged, or of another version or GPU."""


class LoadedEngine:
    """An engine, and execution contexts on it. For one thread at a time, whose device is current."""

    def __init__(self, plan: Path, tensorrt: TensorRt, cache: EngineCache) -> None:
        """Raises PlanRefusedError, and GpuMemoryError where that is the reason."""
        self._tensorrt = tensorrt
        self._cache = cache
        self._kernels_file = plan.with_suffix(_KERNELS)
        try:
            data = plan.read_bytes()
        except OSError as error:
            raise PlanRefusedError(f"{plan}: cannot be read: {error.strerror}") from None
        self._runtime = tensorrt.module.Runtime(tensorrt.logger)
        with tensorrt.errors() as said:
            self.engine = self._runtime.deserialize_cuda_engine(data)
        if self.engine is None:
            _check_memory(said)
            raise PlanRefusedError(f"{plan}: {tensorrt.name} {tensorrt.version} does not load it: {'; '.join(said)}")
        self._config: Any = None
        self._kernels: Any = None
        if tensorrt.has_kernel_cache:
            self._config = self.engine.create_runtime_config()
            # else kernels for a shape are compiled beside the first runs, and a CUDA graph keeps their substitutes
            self._config.dynamic_shapes_kernel_specialization_strategy = (
                tensorrt.module.DynamicShapesKernelSpecializationStrategy.EAGER
            )
            self._kernels = self._config.create_runtime_cache()
            self._known = self._kernels_file.read_bytes() if self._kernels_file.is_file() else b""
            if self._known:
                self._kernels.deserialize(self._known)
            self._config.set_runtime_cache(self._kernels)

    @property
    def names(self) -> list[str]:
        """Of inputs and outputs."""
        return [self.engine.get_tensor_name(index) for index in range(self.engine.num_io_tensors)]

    def is_input(self, name: str) -> bool:
        """Else it is an output."""
        return bool(self.engine.get_tensor_mode(name) == self._tensorrt.module.TensorIOMode.INPUT)

    def largest(self, name: str) -> tuple[int, ...]:
        """Shape of the largest batch that an input takes."""
        return tuple(self.engine.get_tensor_profile_shape(name, 0)[2])

    def dtype(self, name: str) -> np.dtype[Any]:
        """Element type of an input or output."""
        dtype: np.dtype[Any] = np.dtype(self._tensorrt.module.nptype(self.engine.get_tensor_dtype(name)))
        return dtype

    def context(self) -> Any:
        """A new execution context. Raises BackendError, and GpuMemoryError where that is the reason."""
        with self._tensorrt.errors() as said:
            context = self.engine.create_execution_context(*(() if self._config is None else (self._config,)))
        if context is None:
            _check_memory(said)
            raise BackendError(f"{self._tensorrt.name} cannot make an execution context: {'; '.join(said)}")
        return context

    def bind_largest(self, context: Any, device: Device) -> list[Any]:
        """Gives a context the largest shapes and memory of its own for every input and output; the caller frees it."""
        for name in self.names:
            if self.is_input(name):
                context.set_input_shape(name, self.largest(name))
        buffers = []
        for name in self.names:
            shape = tuple(context.get_tensor_shape(name))
            buffers.append(device.memory(int(np.prod(shape)) * self.dtype(name).itemsize))
            context.set_tensor_address(name, int(buffers[-1]))
        return buffers

    def keep_kernels(self) -> None:
        """Writes what has been compiled since the engine was loaded, for the next start."""
        if self._kernels is None:
            return
        compiled = bytes(self._kernels.serialize())
        if compiled == self._known:
            return
        try:
            self._cache.write(self._kernels_file, compiled)
        except CacheError as error:  # the next start is slower, nothing else
            _log.warning("compiled kernels are not kept: %s", error)
        self._known = compiled

    def close(self) -> None:
        """Frees the engine; its contexts must be gone."""
        if self._kernels is not None:
            self._kernels.reset()  # takes 0.2 s on an H100, and its destructor would hold the GIL for as long
        self._kernels = self._config = None
        self.engine = None
        self._runtime = None


def set_shape(context: Any, name: str, shape: tuple[int, ...]) -> None:
    """Says what is to come in at an input. Raises BackendError where the engine does not take it."""
    if not context.set_input_shape(name, shape):
        raise BackendError(f"TensorRT does not take {name} of shape {shape}")


def _check_memory(said: Iterable[str]) -> None:
    """Raises GpuMemoryError if one of TensorRT's messages says so; it has no other way to tell."""
    for message in said:
        if "memory" in message.lower():
            mend = "lower inference.max_batch or run fewer models"
            raise GpuMemoryError(f"the GPU has too little free memory; {mend} (TensorRT: {message})")

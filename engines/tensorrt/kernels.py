"""Kernels of this project: PTX of this folder, compiled ahead from the .cu beside it, and its functions.

Every driver since CUDA 12.2 takes the PTX, for GPUs from compute capability 7.5 on; `python -m tests.ptx` compiles it.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any, TypeAlias

from cuda.bindings import driver

from engines.tensorrt.device import Device, free_with
from engines.tensorrt.driver import call, launch_kernel

Dimensions: TypeAlias = "tuple[int, int, int]"


class KernelModule:
    """The functions of one PTX file, on one GPU."""

    def __init__(self, device: Device, name: str) -> None:
        """`name` of the file, without suffix. Raises CudaError where the driver does not take it."""
        ptx = Path(__file__).with_name(f"{name}.ptx").read_bytes()
        self._module = int(call(driver.cuModuleLoadData, ptx + b"\0"))
        free_with(self, device, driver.cuModuleUnload, self._module)

    def kernel(self, name: str, arguments: tuple[Any, ...]) -> Kernel:
        """A function with these arguments, each a ctypes object. Raises CudaError."""
        return Kernel(self, int(call(driver.cuModuleGetFunction, self._module, name.encode())), arguments)


class Kernel:
    """A function and its arguments, whose values may be changed between launches."""

    def __init__(self, module: KernelModule, function: int, arguments: tuple[Any, ...]) -> None:
        self._module = module  # which it lives as long as
        self._function = function
        self.arguments = arguments
        addresses = [ctypes.addressof(argument) for argument in arguments]
        self._addresses = (ctypes.c_void_p * len(addresses))(*addresses)

    def launch(self, grid: Dimensions, block: Dimensions, stream: Any, shared: int = 0) -> None:
        """Puts it on a stream, with `shared` bytes for each block; keeps the GIL. Raises CudaError."""
        launch_kernel(self._function, grid, block, shared, stream.handle, ctypes.addressof(self._addresses))

"""Two kernels that tests need: one that holds a stream until it is let go, and one that breaks the context."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from cuda.bindings import driver

from engines.tensorrt.device import use_device
from engines.tensorrt.driver import call

_PTX = b"""
.version 6.4
.target sm_52
.address_size 64
.visible .entry latch(.param .u64 flag) {
    .reg .u64 %address;
    .reg .u32 %value;
    .reg .pred %closed;
    ld.param.u64 %address, [flag];
wait:
    ld.volatile.global.u32 %value, [%address];
    setp.eq.u32 %closed, %value, 0;
    @%closed bra wait;
    ret;
}
.visible .entry trap() {
    trap;
}
"""


class Latch:
    """Holds streams until it is opened."""

    def __init__(self) -> None:
        self._pinned = use_device().pinned((1,), np.uint32)
        self._flag = self._pinned.array
        self._flag[0] = 0
        self._module = call(driver.cuModuleLoadData, _PTX)
        self._kernel = call(driver.cuModuleGetFunction, self._module, b"latch")
        # a test that is wrong fails; it does not hold the GPU for ever
        self._timer = threading.Timer(20.0, self.open)
        self._timer.start()

    def hold(self, stream: Any) -> None:
        """What is put on the stream from now on waits."""
        address = np.array([call(driver.cuMemHostGetDevicePointer, self._flag.ctypes.data, 0)], np.uint64)
        pointers = np.array([address.ctypes.data], np.uint64)
        call(driver.cuLaunchKernel, self._kernel, 1, 1, 1, 1, 1, 1, 0, stream.handle, pointers.ctypes.data, 0)

    def open(self) -> None:
        self._flag[0] = 1

    def close(self) -> None:
        """Frees it; nothing may be held any more."""
        self._timer.cancel()
        self._timer.join()
        call(driver.cuModuleUnload, self._module)
        self._pinned.free()


def break_context() -> None:
    """Makes the primary context of GPU 0 unusable for the rest of the process, as a fault of the GPU does."""
    use_device()
    kernel = call(driver.cuModuleGetFunction, call(driver.cuModuleLoadData, _PTX), b"trap")
    call(driver.cuLaunchKernel, kernel, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0)

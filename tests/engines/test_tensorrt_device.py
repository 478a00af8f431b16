"""Devices and what is made on them, with a driver in place of CUDA's that keeps a context for each thread."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from engines.errors import BackendError, GpuMemoryError

GPUS = 2
MEMORY = 1000  # bytes


class Driver(ModuleType):
    """The functions that devices call, as cuda-bindings has them; each gives its error first."""

    CU_MEMHOSTALLOC_DEVICEMAP = 2
    CUdevice_attribute = SimpleNamespace(CU_DEVICE_ATTRIBUTE_INTEGRATED=18)

    def __init__(self) -> None:
        super().__init__("cuda.bindings.driver")
        self.thread = threading.local()
        self.lent: dict[int, tuple[int, int]] = {}
        """bytes and context of each address"""

    @property
    def stack(self) -> list[int]:
        """Contexts of the calling thread."""
        if not hasattr(self.thread, "stack"):
            self.thread.stack = [0]
        stack: list[int] = self.thread.stack
        return stack

    def cuInit(self, _flags: int) -> tuple[int]:
        return (0,)

    def cuDeviceGet(self, index: int) -> tuple[int, int]:
        return (0, index) if index < GPUS else (101, 0)

    def cuDevicePrimaryCtxRetain(self, device: int) -> tuple[int, int]:
        return 0, 7000 + device

    def cuDeviceGetAttribute(self, _attribute: int, _device: int) -> tuple[int, int]:
        return 0, 0

    def cuCtxPushCurrent(self, context: int) -> tuple[int]:
        self.stack.append(context)
        return (0,)

    def cuCtxPopCurrent(self) -> tuple[int, int]:
        return 0, self.stack.pop()

    def cuMemGetInfo(self) -> tuple[int, int, int]:
        used = sum(size for size, context in self.lent.values() if context == self.stack[-1])
        return 0, MEMORY - used, MEMORY

    def cuMemAlloc(self, size: int) -> tuple[int, int]:
        if size > self.cuMemGetInfo()[1]:
            return 2, 0
        address = 4096 * (1 + len(self.lent))
        self.lent[address] = size, self.stack[-1]
        return 0, address

    def cuMemFree(self, address: int) -> tuple[int]:
        assert self.lent.pop(address)[1] == self.stack[-1], "freed under another context"
        return (0,)


def call(function: Callable[..., tuple[Any, ...]], *arguments: Any) -> Any:
    """As engines.tensorrt.driver.call."""
    error, *values = function(*arguments)
    if error:
        raise GpuMemoryError("too little") if error == 2 else BackendError(f"{function.__name__}: error {error}")
    return values[0] if len(values) == 1 else tuple(values)


@pytest.fixture
def driver() -> Driver:
    return Driver()


@pytest.fixture
def device(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module `engines.tensorrt.device`, with the driver above."""

    def set_current(context: int) -> None:
        driver.stack[-1] = context

    bindings = ModuleType("cuda.bindings")
    bindings.driver = driver  # type: ignore[attr-defined]  # a module made here
    functions = ModuleType("engines.tensorrt.driver")
    given = {"call": call, "set_current": set_current, "CudaError": BackendError}
    functions.__dict__.update(dict.fromkeys(("elapsed", "has_happened", "record", "wait_for")), **given)
    for name, module in (("cuda.bindings", bindings), ("engines.tensorrt.driver", functions)):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delitem(sys.modules, "engines.tensorrt.device", raising=False)
    yield importlib.import_module("engines.tensorrt.device")
    sys.modules.pop("engines.tensorrt.device")


def test_a_thread_uses_the_gpu_that_it_asks_for(device: Any, driver: Driver) -> None:
    """Also after another one, and again."""
    for index in (0, 1, 0):
        assert device.use_device(index).index == index
        assert driver.stack == [7000 + index]


def test_a_gpu_that_is_not_there_is_refused(device: Any, driver: Driver) -> None:
    device.use_device(1)
    with pytest.raises(BackendError, match=r"^NVIDIA GPU 2 cannot be used"):
        device.use_device(2)
    assert driver.stack == [7001]


def test_memory_is_freed_in_any_thread(device: Any, driver: Driver) -> None:
    """Under its own context, which then is that thread's no longer."""
    memory = device.use_device(1).memory(100)
    seen = []

    def free() -> None:
        device.use_device(0)
        memory.free()
        memory.free()
        seen.append(list(driver.stack))

    thread = threading.Thread(target=free)
    thread.start()
    thread.join()
    assert seen == [[7000]]
    assert driver.lent == {}


def test_memory_goes_with_its_object(device: Any, driver: Driver) -> None:
    memory = device.use_device().memory(100)
    assert driver.lent[int(memory)] == (100, 7000)
    del memory
    assert driver.lent == {}


def test_too_little_memory_says_how_much_there_is(device: Any) -> None:
    used = device.use_device()
    with pytest.raises(GpuMemoryError, match=r"lower inference\.max_batch"):
        used.memory(MEMORY + 1)

"""Which TensorRT is installed, what it can do here, and which GPU there is: found by trying, never by version."""

from __future__ import annotations

import functools
import importlib
import logging
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from engines.errors import BackendError
from engines.precision import Precision
from engines.tensorrt import probes

_log = logging.getLogger("ospreyd.tensorrt")

FLAVOURS = ("tensorrt", "tensorrt_rtx")
"""Python modules: TensorRT as on Jetson and data-centre GPUs, and TensorRT for RTX; in the order that 'auto' tries"""
TF32 = "NVIDIA_TF32_OVERRIDE"
"""environment variable that NVIDIA's libraries read when they are loaded; "0" keeps FP32 from being computed as TF32.

It is for the whole process, so whoever starts the process sets it: the command `ospreyd` sets "0". An engine runs only
with the value that it was built with, so the value is part of the engine's key.
"""
_INSTALL = {
    "tensorrt": "pip install 'ospreyd[gpu]' (not for GeForce and RTX; part of JetPack)",
    "tensorrt_rtx": "pip install 'ospreyd[rtx]' (GeForce and RTX GPUs)",
}


@dataclass(frozen=True, slots=True)
class Gpu:
    """An NVIDIA GPU and its driver."""

    name: str
    compute_capability: tuple[int, int]
    multiprocessors: int
    memory: int
    """bytes"""
    driver: int
    """CUDA version that the driver supports, as CUDA counts: 13000 is 13.0"""


class TensorRt:
    """One installed TensorRT. Its module has no types of its own, hence Any."""

    def __init__(self, name: str, module: Any) -> None:
        self.name = name
        """tensorrt or tensorrt_rtx"""
        self.module = module
        self.version = str(module.__version__)
        self.tf32 = os.environ.get(TF32)
        """the variable as TensorRT found it when it was loaded; None: not set"""
        self.logger = _logger(module)
        self._tried: dict[str, bool] = {}

    @property
    def has_kernel_cache(self) -> bool:
        """Whether kernels are compiled when an execution context is made, and can be kept (TensorRT for RTX)."""
        return hasattr(self.module, "IRuntimeCache")

    @property
    def has_timing_cache(self) -> bool:
        """Whether timings of one build help the next; TensorRT for RTX times nothing when it builds."""
        return not self.has_kernel_cache

    @property
    def has_weak_typing(self) -> bool:
        """Whether flags can ask for a precision that the network does not state."""
        return hasattr(self.module.BuilderFlag, "FP16")

    def can(self, precision: Precision) -> bool:
        """Whether a network of this precision builds here: a convolution of eight channels is tried."""
        return self._builds(f"precision {precision.value}", functools.partial(probes.convolution, precision))

    def runs(self, operator: str) -> bool:
        """Whether a network with this operator builds here; operators that nobody has trouble with are not tried."""
        probe = probes.OPERATORS.get(operator)
        return probe is None or self._builds(f"operator {operator}", probe)

    def check_gpu(self, device: Gpu) -> None:
        """Loads a small engine; raises BackendError where the GPU does not take it.

        What get_engine_validity says is not asked: 1.6 calls engines invalid that run.
        """
        from engines.tensorrt.device import use_device  # noqa: PLC0415  it needs NVIDIA's CUDA bindings

        parsed = self.parse(probes.convolution(Precision.FP16))
        plan = parsed.builder.build_serialized_network(parsed.network, parsed.builder.create_builder_config())
        use_device()
        with self.errors() as said:
            engine = self.module.Runtime(self.logger).deserialize_cuda_engine(plan)
        if engine is None:
            raise BackendError(f"{self.name} {self.version} does not work with the {device.name}: {'; '.join(said)}")

    def parse(self, model: onnx.ModelProto, strongly_typed: bool = True) -> Parsed:
        """A network definition of the model; its errors are in the result."""
        trt = self.module
        # 10.x and 11.x number this flag differently
        flags = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED) if strongly_typed else 0
        builder = trt.Builder(self.logger)
        network = builder.create_network(flags)
        parser = trt.OnnxParser(network, self.logger)
        if parser.parse(model.SerializeToString()):
            return Parsed(builder, network, parser, ())
        errors = (parser.get_error(index) for index in range(parser.num_errors))
        return Parsed(builder, network, parser, tuple(_parser_error(error) for error in errors))

    @contextmanager
    def errors(self) -> Iterator[deque[str]]:
        """Collects what TensorRT reports as errors meanwhile, in place of logging it."""
        collected: deque[str] = deque(maxlen=8)
        before, self.logger.sink = self.logger.sink, collected.append
        try:
            yield collected
        finally:
            self.logger.sink = before

    def _builds(self, what: str, probe: Callable[[], onnx.ModelProto]) -> bool:
        if what not in self._tried:
            with self.errors(), _native_stderr_closed():
                parsed = self.parse(probe())
                config = parsed.builder.create_builder_config()
                self._tried[what] = (
                    not parsed.errors and parsed.builder.build_serialized_network(parsed.network, config) is not None
                )
        return self._tried[what]


@dataclass(frozen=True, slots=True)
class Parsed:
    """An ONNX model as TensorRT has read it; the parser owns the weights, so the three live together."""

    builder: Any
    network: Any
    parser: Any
    errors: tuple[str, ...]


@functools.cache
def find(name: str) -> TensorRt:
    """The TensorRT of this name, `FLAVOURS`. Raises BackendError where it is not installed or does not load."""
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise BackendError(f"{name} does not load: {error}; install it again") from None
        raise BackendError(f"{name} is not installed; {_INSTALL[name]}") from None
    except (ImportError, OSError, RuntimeError) as error:  # a library of CUDA that is missing or of another version
        raise BackendError(f"{name} does not load: {error}; install it again") from None
    return TensorRt(name, module)


@functools.cache
def gpu(index: int = 0) -> Gpu:
    """The GPU that engines are built for and run on. Raises BackendError where there is none or PyCUDA is missing."""
    try:
        cuda = importlib.import_module("pycuda.driver")
    except ModuleNotFoundError:
        missing = "PyCUDA is not installed; it comes with ospreyd[gpu] and ospreyd[rtx], and needs nvcc"
        raise BackendError(missing) from None
    except ImportError as error:
        raise BackendError(f"there is no NVIDIA driver, or not one that PyCUDA can load: {error}") from None
    try:
        cuda.init()
        count = cuda.Device.count()
        if index >= count:
            raise BackendError(f"there are {count} NVIDIA GPUs here, none with number {index}")
        device = cuda.Device(index)
        return Gpu(
            name=device.name(),
            compute_capability=device.compute_capability(),
            multiprocessors=device.get_attribute(cuda.device_attribute.MULTIPROCESSOR_COUNT),
            memory=device.total_memory(),
            driver=cuda.get_driver_version(),
        )
    except cuda.Error as error:
        raise BackendError(f"the NVIDIA GPU cannot be used: {error}; nvidia-smi says more") from None


def gpu_count() -> int:
    """How many NVIDIA GPUs there are to use; 0 where PyCUDA or a driver is missing."""
    try:
        gpu()
    except BackendError:
        return 0
    return int(importlib.import_module("pycuda.driver").Device.count())


@contextmanager
def _native_stderr_closed() -> Iterator[None]:
    """What native code prints past the logger while a probe fails is no news. Nothing else here writes meanwhile:
    probing is done by commands and by the process that builds."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _parser_error(error: Any) -> str:
    node = error.node_name()
    return f"{error.node_operator()}{f' ({node})' if node else ''}: {error.desc()}"


def _logger(module: Any) -> Any:
    """TensorRT's messages as log records; it keeps a plain pointer to the logger, so that must live on."""
    severity = module.ILogger
    levels = {
        severity.INTERNAL_ERROR: logging.ERROR,
        severity.ERROR: logging.ERROR,
        severity.WARNING: logging.DEBUG,  # they speak of its own choices, not of anything that a user can mend
        severity.INFO: logging.DEBUG,
    }

    class Logger(module.ILogger):  # type: ignore[misc]  # its base class is known at run time only
        def __init__(self) -> None:
            module.ILogger.__init__(self)
            self.sink: Callable[[str], object] = _log.error

        def log(self, level: Any, message: str) -> None:
            number = levels.get(level)
            if number == logging.ERROR:
                self.sink(message)
            elif number is not None:
                _log.log(number, "%s", message)

    return Logger()

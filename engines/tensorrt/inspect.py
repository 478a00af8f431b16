"""What TensorRT has made of a model: its layers after fusion, their precision, and the time that each takes."""

from __future__ import annotations

import json
import re
import statistics
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.build.cache import EngineCache
from engines.tensorrt.backend import TensorRt
from engines.tensorrt.device import Device, use_device
from engines.tensorrt.loading import LoadedEngine

_ORIGIN = re.compile(r"\[ONNX Layer: ([^\]]+)\]")
_RUNS = 20
"""that the time of a layer is the median of"""


@dataclass(frozen=True, slots=True)
class Layer:
    """One step of an engine; often several nodes of the model in one kernel."""

    name: str
    kind: str
    origin: tuple[str, ...]
    """nodes of the ONNX model that it computes"""
    precision: str
    """element types of its outputs"""
    milliseconds: float | None
    """of one run at the largest batch; None where it was not profiled"""


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output of an engine."""

    name: str
    is_input: bool
    dtype: str
    shape: tuple[int, ...]
    """-1 where it varies"""
    largest: tuple[int, ...] | None
    """of an input"""


@dataclass(frozen=True, slots=True)
class Inspection:
    """An engine seen from inside."""

    layers: tuple[Layer, ...]
    tensors: tuple[Tensor, ...]
    device_memory: int
    """bytes that one execution context takes beside the weights"""


def inspect(plan: Path, tensorrt: TensorRt, cache: EngineCache, profile: bool = False) -> Inspection:
    """Loads the engine and looks at it; `profile` runs it too, which shows what was fused where and takes how long.

    Raises BackendError; loading.PlanRefusedError where this TensorRT does not load the file.
    """
    device = use_device()
    with closing(LoadedEngine(plan, tensorrt, cache)) as loaded:
        return _inspect(loaded, tensorrt, device, profile)


def _inspect(loaded: LoadedEngine, tensorrt: TensorRt, device: Device, profile: bool) -> Inspection:
    engine = loaded.engine
    inspector = engine.create_engine_inspector()
    times: dict[str, float] = {}
    context = None
    if profile:
        context = loaded.context()
        inspector.execution_context = context
        times = _profile(loaded, context, tensorrt, device)
    information = json.loads(inspector.get_engine_information(tensorrt.module.LayerInformationFormat.JSON))
    del inspector, context
    return Inspection(
        layers=tuple(_layer(layer, times) for layer in information["Layers"]),
        tensors=tuple(_tensor(loaded, name) for name in loaded.names),
        device_memory=int(engine.device_memory_size_v2),
    )


def _layer(layer: dict[str, Any] | str, times: dict[str, float]) -> Layer:
    if isinstance(layer, str):  # an engine built without details has only names
        return Layer(layer, "", (), "", times.get(layer))
    types = dict.fromkeys(str(output.get("Datatype", output.get("Format/Datatype"))) for output in layer["Outputs"])
    return Layer(
        name=layer["Name"],
        kind=layer.get("LayerType", ""),
        origin=tuple(_ORIGIN.findall(layer.get("Metadata", ""))),
        precision=", ".join(types),
        milliseconds=times.get(layer["Name"]),
    )


def _tensor(loaded: LoadedEngine, name: str) -> Tensor:
    engine, is_input = loaded.engine, loaded.is_input(name)
    return Tensor(
        name=name,
        is_input=is_input,
        dtype=engine.get_tensor_dtype(name).name.lower(),
        shape=tuple(engine.get_tensor_shape(name)),
        largest=loaded.largest(name) if is_input else None,
    )


def _profile(loaded: LoadedEngine, context: Any, tensorrt: TensorRt, device: Device) -> dict[str, float]:
    """Milliseconds of each layer, median of several runs at the largest batch, on memory as it comes."""
    module = tensorrt.module
    reported: dict[str, list[float]] = {}

    class Profiler(module.IProfiler):  # type: ignore[misc, name-defined]  # known at run time only
        def __init__(self) -> None:
            module.IProfiler.__init__(self)

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            reported.setdefault(layer_name, []).append(ms)

    profiler = Profiler()
    buffers = loaded.bind_largest(context, device)
    stream = device.stream()
    try:
        context.execute_async_v3(stream.handle)  # compiles and warms up
        stream.synchronize()
        context.profiler = profiler
        for _ in range(_RUNS):
            context.execute_async_v3(stream.handle)
            stream.synchronize()
    finally:
        for buffer in buffers:
            buffer.free()
    return {name: statistics.median(times) for name, times in reported.items()}

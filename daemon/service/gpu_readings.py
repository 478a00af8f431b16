"""Utilisation, memory and temperature of the GPUs: from NVML if installed, else from a Jetson's sysfs."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

try:
    import pynvml
except ImportError:  # part of the extras `gpu` and `rtx`
    pynvml = None

_JETSON_LOAD = ("sys/devices/gpu.0/load", "sys/devices/platform/gpu.0/load", "sys/devices/platform/*.gpu/load")
"""utilisation in per mille; the path depends on the JetPack release"""


@dataclass(frozen=True, slots=True)
class Gpu:
    """Current readings of one GPU; None if not available."""

    name: str
    """index and product name"""
    utilization: float | None
    """0 to 1"""
    memory_used: int | None
    """bytes; None on a Jetson, whose GPU has no memory of its own"""
    memory_total: int | None
    """bytes"""
    temperature: float | None
    """degrees Celsius"""


def read_gpus(root: Path = Path("/")) -> list[Gpu]:
    """Every GPU of this machine; empty if none can be read. `root` is the root of the file system, for tests."""
    if not _has_nvml():
        return _from_sysfs(root)
    try:
        return [_from_nvml(index) for index in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:  # a GPU was lost; inference reports it
        return []


@cache
def _has_nvml() -> bool:
    if pynvml is None:
        return False
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:  # no driver
        return False
    return True


def _from_nvml(index: int) -> Gpu:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    utilization = memory = temperature = None
    # a GPU may support only some of these
    with contextlib.suppress(pynvml.NVMLError):
        utilization = pynvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100
    with contextlib.suppress(pynvml.NVMLError):
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    with contextlib.suppress(pynvml.NVMLError):
        temperature = float(pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU))
    name = f"{index}: {pynvml.nvmlDeviceGetName(handle)}"
    return Gpu(name, utilization, memory and memory.used, memory and memory.total, temperature)


def _from_sysfs(root: Path) -> list[Gpu]:
    for pattern in _JETSON_LOAD:
        for file in root.glob(pattern):
            load = _number(file)
            return [Gpu("0: Jetson", None if load is None else load / 1000, None, None, _jetson_temperature(root))]
    return []


def _jetson_temperature(root: Path) -> float | None:
    for zone in sorted(root.glob("sys/class/thermal/thermal_zone*")):
        with contextlib.suppress(OSError):
            if (zone / "type").read_text().strip().lower() in ("gpu-therm", "gpu-thermal"):
                millidegrees = _number(zone / "temp")
                return None if millidegrees is None else millidegrees / 1000
    return None


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):  # the thermal zone of a powered-down part
        return None

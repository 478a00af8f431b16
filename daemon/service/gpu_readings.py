"""How busy, full and hot the GPUs are: from NVML where its package is installed, else from a Jetson's sysfs."""

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
"""per mille of the time; where it lies depends on the release of JetPack"""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU now; None where it does not say."""

    name: str
    """its number and what it is called"""
    utilization: float | None
    """0 to 1"""
    memory_used: int | None
    """bytes; None on a Jetson, whose GPU has no memory of its own"""
    memory_total: int | None
    """bytes"""
    temperature: float | None
    """degrees Celsius"""


def read_gpus(root: Path = Path("/")) -> list[Gpu]:
    """All of this machine, none where nothing can be learnt; `root` is of the file system."""
    if not _has_nvml():
        return _from_sysfs(root)
    try:
        return [_from_nvml(index) for index in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:  # a GPU was lost; inference says so
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
    # each may be one that this GPU does not support, or may not tell
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
    except (OSError, ValueError):  # a zone of a part that is asleep cannot be read
        return None

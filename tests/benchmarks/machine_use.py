"""What processes take of a machine: processor time, threads, memory, and what of its NVIDIA GPUs is busy."""

from __future__ import annotations

import functools
import importlib
import os
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TICKS, _PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
_LOOK_EVERY = 0.5  # seconds
_BUSY_THREADS = 5  # are told


@dataclass(frozen=True)
class Processes:
    """Of a process and all that it has started, at one time."""

    at: float
    """time.monotonic()"""
    cpu: Mapping[int, float]
    """processor seconds so far, by process"""
    threads_cpu: Mapping[tuple[int, int], float]
    """processor seconds so far, by process and thread"""
    memory: Mapping[int, float]
    """resident, MB, by process"""
    machine: float
    """processor seconds of the whole machine that were not idle"""
    descriptors: int

    @classmethod
    def of(cls, pid: int) -> Processes:
        """Now."""
        cpu, threads, memory, descriptors = {}, {}, {}, 0
        for process in _tree(pid):
            with suppress(OSError):  # it has ended meanwhile
                folder = Path(f"/proc/{process}")
                cpu[process] = cpu_seconds(process)
                memory[process] = int((folder / "statm").read_text().split()[1]) * _PAGE / 1e6
                descriptors += len(list((folder / "fd").iterdir()))
                for thread in (folder / "task").iterdir():
                    threads[process, int(thread.name)] = _seconds(thread / "stat")
        return cls(time.monotonic(), cpu, threads, memory, _machine(), descriptors)


def busiest_child(pid: int) -> int:
    """The process below another that has taken most processor time."""
    return max((child for child in _tree(pid) if child != pid), key=cpu_seconds)


def cpu_seconds(pid: int) -> float:
    """Processor seconds of a process so far. Raises OSError."""
    return _seconds(Path(f"/proc/{pid}/stat"))


def _seconds(stat: Path) -> float:
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _tree(pid: int) -> Iterator[int]:
    """A process and all below it."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in children.read_text().split():
                yield from _tree(int(child))


def _machine() -> float:
    """Processor seconds of the whole machine so far that were not idle."""
    user, nice, system, _idle, _waiting, *more = map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9])
    return (user + nice + system + sum(more)) / _TICKS


def used(before: Processes, after: Processes) -> dict[str, Any]:
    """Cores between two times, of all, of each process, of the busiest threads and of the machine."""
    took = after.at - before.at
    cores = {pid: (cpu - before.cpu.get(pid, 0.0)) / took for pid, cpu in after.cpu.items()}
    threads = sorted(
        ((cpu - before.threads_cpu.get(key, 0.0)) / took for key, cpu in after.threads_cpu.items()), reverse=True
    )
    count = Counter(pid for pid, _ in after.threads_cpu)
    return {
        "cores": round(sum(cores.values()), 2),
        "processes": [
            {"cores": round(cores[pid], 2), "threads": count[pid], "memory_mb": round(after.memory[pid])}
            for pid in sorted(cores, key=lambda pid: -cores[pid])
        ],
        "busiest_threads_cores": [round(share, 2) for share in threads[:_BUSY_THREADS]],
        "threads": len(after.threads_cpu),
        "memory_mb": round(sum(after.memory.values())),
        "descriptors": after.descriptors,
        "machine_cores": [round((after.machine - before.machine) / took, 2), os.cpu_count()],
    }


class Gpus:
    """Looks at the NVIDIA GPUs while it is open; there may be none."""

    def __init__(self) -> None:
        self._before = gpu_memory()
        self._seen: list[list[tuple[float, float, float]]] = [[] for _ in self._before]
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def __enter__(self) -> Gpus:
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def begin(self) -> None:
        """Forgets what it has seen."""
        for samples in self._seen:
            samples.clear()

    def figures(self) -> list[dict[str, Any]]:
        """Of each GPU: MB more than before this was made, and how busy GPU and decoder were, percent."""
        return [
            {
                "gpu": index,
                "memory_mb": round(max(row[0] for row in rows) - self._before[index]),
                "busy_percent": statistics.median(row[1] for row in rows),
                "decoder_busy_percent": statistics.median(row[2] for row in rows),
            }
            for index, rows in enumerate(list(samples) for samples in self._seen)
            if rows
        ]

    def _watch(self) -> None:
        nvml, handles = _nvml()
        while handles and not self._end.wait(_LOOK_EVERY):
            for samples, handle, memory in zip(self._seen, handles, gpu_memory(), strict=True):
                busy = nvml.nvmlDeviceGetUtilizationRates(handle).gpu
                samples.append((memory, busy, nvml.nvmlDeviceGetDecoderUtilization(handle)[0]))


def gpu_memory() -> list[float]:
    """MB used on each GPU now; empty where there is none."""
    nvml, handles = _nvml()
    return [nvml.nvmlDeviceGetMemoryInfo(handle).used / 1e6 for handle in handles]


@functools.cache
def _nvml() -> tuple[Any, list[Any]]:
    """NVIDIA's module and a handle for each GPU."""
    try:
        nvml = importlib.import_module("pynvml")
        nvml.nvmlInit()
    except Exception as error:  # it has one class for each thing that is not there
        if not isinstance(error, ImportError) and type(error).__module__ != "pynvml":
            raise
        return None, []
    return nvml, [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]


def limit(use: Mapping[str, Any], gpus: list[dict[str, Any]]) -> str:
    """What was at its limit, as far as this can be seen."""
    found = []
    if any(gpu["decoder_busy_percent"] >= 97 for gpu in gpus):
        found.append("the GPU's video decoders")
    busy, there = use["machine_cores"]
    if busy >= 0.95 * there:
        found.append(f"all {there} cores of the machine")
    if use["busiest_threads_cores"] and use["busiest_threads_cores"][0] >= 0.9:
        found.append("one thread")
    if max((process["cores"] for process in use["processes"]), default=0.0) >= 0.9 and not found:
        found.append("perhaps one process's interpreter")
    return ", ".join(found) or "nothing seen"

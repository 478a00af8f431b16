"""What processes take of a machine: processor time, threads, memory, and what of its NVIDIA GPUs is busy."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

_TICKS, _PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
_LOOK_EVERY = 500  # milliseconds
_ASKED = ("index", "memory.used", "utilization.gpu", "utilization.decoder")
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
    """Looks at the NVIDIA GPUs with nvidia-smi while it is open; there may be none."""

    def __init__(self) -> None:
        program = shutil.which("nvidia-smi")
        self._watch: subprocess.Popen[str] | None = None
        if program is not None:
            query = [program, f"--query-gpu={','.join(_ASKED)}", "--format=csv,noheader,nounits"]
            self._before = _parsed(subprocess.run(query, capture_output=True, text=True, check=True).stdout)
            self._watch = subprocess.Popen([*query, f"-lms={_LOOK_EVERY}"], stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Gpus:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._watch is not None and self._watch.poll() is None:
            self._watch.kill()
            self._watch.communicate()

    def end(self) -> list[dict[str, Any]]:
        """Of each GPU: MB more than before this was made, and how busy GPU and decoder were, percent."""
        if self._watch is None:
            return []
        self._watch.terminate()
        seen = _parsed(self._watch.communicate()[0])
        return [
            {
                "gpu": index,
                "memory_mb": round(max(row[0] for row in rows) - self._before[index][0][0]),
                "busy_percent": _median([row[1] for row in rows]),
                "decoder_busy_percent": _median([row[2] for row in rows]),
            }
            for index, rows in sorted(seen.items())
        ]


def gpu_memory() -> list[float]:
    """MB used on each GPU now; empty without nvidia-smi."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = [program, f"--query-gpu={','.join(_ASKED)}", "--format=csv,noheader,nounits"]
    said = _parsed(subprocess.run(query, capture_output=True, text=True, check=True).stdout)
    return [rows[0][0] for _, rows in sorted(said.items())]


def limit(use: Mapping[str, Any], gpus: list[dict[str, Any]]) -> str:
    """What was at its limit, as far as this can be seen."""
    found = []
    if any((gpu["decoder_busy_percent"] or 0) >= 97 for gpu in gpus):
        found.append("the GPU's video decoders")
    busy, there = use["machine_cores"]
    if busy >= 0.95 * there:
        found.append(f"all {there} cores of the machine")
    if use["busiest_threads_cores"] and use["busiest_threads_cores"][0] >= 0.9:
        found.append("one thread")
    if max((process["cores"] for process in use["processes"]), default=0.0) >= 0.9 and not found:
        found.append("perhaps one process's interpreter")
    return ", ".join(found) or "nothing seen"


def _parsed(text: str) -> dict[int, list[tuple[float, float, float]]]:
    """By GPU: memory in MB, percent of the GPU, percent of its decoders; the last line may be cut."""
    seen: dict[int, list[tuple[float, float, float]]] = {}
    for line in text.splitlines():
        cells = line.split(",")
        if len(cells) == len(_ASKED):
            index, *values = (_number(cell) for cell in cells)
            seen.setdefault(int(index), []).append((values[0], values[1], values[2]))
    return seen


def _number(cell: str) -> float:
    """0 for what a GPU does not say."""
    try:
        return float(cell)
    except ValueError:
        return 0.0


def _median(values: list[float]) -> float | None:
    return statistics.median(values) if values else None

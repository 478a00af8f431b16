"""Checks of the machine except its GPU: CPU, memory, disk, OpenCV, engine cache."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

import cv2

from daemon import __version__
from daemon.doctor.finding import Finding, Problem
from engines.build.cache import EngineCache
from engines.errors import CacheError, FolderError
from engines.text import counted

_LEAST_MEMORY = 1 << 30
"""bytes available; the daemon with a small model and a few cameras takes about half"""
_LEAST_DISK = 2 << 30
"""bytes free for the engine cache: a few engines and their builds' temporary files"""
_OPENCV_PARTS = {"FFmpeg": cv2.CAP_FFMPEG, "GStreamer": cv2.CAP_GSTREAMER, "V4L2": cv2.CAP_V4L2}


def system() -> Finding:
    """Operating system, CPU, Python."""
    model = _field(Path("/proc/cpuinfo"), "model name") or platform.machine()
    facts = {
        "os": platform.platform(),
        "cpu": model,
        "cpus": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "ospreyd": __version__,
    }
    cpus = counted(len(os.sched_getaffinity(0)), "CPU")
    line = f"ospreyd {__version__}, {facts['os']}, {model}, {cpus}, Python {facts['python']}"
    return Finding("system", line, facts)


def memory() -> Finding:
    """Memory of the machine, from /proc/meminfo."""
    total, available = (_bytes(f"Mem{which}") for which in ("Total", "Available"))
    problems = []
    if available < _LEAST_MEMORY:
        said = f"only {_size(available)} of memory available"
        problems.append(Problem("memory", said, "ps -e -o rss,comm --sort=-rss | head", stops=False))
    line = f"{_size(available)} available of {_size(total)}"
    return Finding("memory", line, {"total": total, "available": available}, tuple(problems))


def disk(folder: Path | FolderError) -> Finding:
    """Free space where engines are kept, in bytes; None where no folder is known, which `cache` reports."""
    if isinstance(folder, FolderError):
        return Finding("disk", "unknown, because there is no folder", {"folder": None, "total": None, "free": None})
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    usage = shutil.disk_usage(there)
    problems = []
    if usage.free < _LEAST_DISK:
        said = f"only {_size(usage.free)} free at {there}, where engines are built"
        problems.append(Problem("disk", said, "ospreyd engine prune", stops=False))
    line = f"{_size(usage.free)} free of {_size(usage.total)} at {there}"
    return Finding("disk", line, {"folder": str(there), "total": usage.total, "free": usage.free}, tuple(problems))


def opencv() -> Finding:
    """Video backends of this OpenCV build."""
    has = {name: cv2.videoio_registry.hasBackend(backend) for name, backend in _OPENCV_PARTS.items()}
    problems = tuple(
        Problem("opencv", f"OpenCV is built without {name}", "pip install --force-reinstall opencv-python", stops=False)
        for name in ("FFmpeg", "V4L2")
        if not has[name]
    )
    line = ", ".join([cv2.__version__, *(f"{'with' if there else 'without'} {name}" for name, there in has.items())])
    return Finding(
        "opencv", line, {"version": cv2.__version__, **{name.lower(): there for name, there in has.items()}}, problems
    )


def cache(folder: Path | FolderError) -> Finding:
    """The folder of engines, or why there is none. One that does not exist yet is not created."""
    if isinstance(folder, FolderError):
        problem = Problem("cache", str(folder), "export CACHE_DIRECTORY=FOLDER, and STATE_DIRECTORY=FOLDER for events")
        nothing = {"folder": None, "engines": 0, "bytes": 0, "problem": str(folder)}
        return Finding("cache", str(folder), nothing, (problem,))
    facts: dict[str, object] = {"folder": str(folder), "engines": 0, "bytes": 0, "problem": None}
    engines, size = 0, 0
    if folder.exists():
        try:
            entries = EngineCache(folder).entries()
        except CacheError as error:
            facts["problem"] = str(error)
            problem = Problem("cache", str(error), f"chown {os.geteuid()} {folder} && chmod 700 {folder}")
            return Finding("cache", str(error), facts, (problem,))
        engines, size = len(entries), sum(entry.size for entry in entries)
        facts.update(engines=engines, bytes=size)
    return Finding("cache", f"{folder}: {counted(engines, 'engine')}, {_size(size)}", facts)


def _bytes(name: str) -> int:
    return int((_field(Path("/proc/meminfo"), name) or "0 kB").split()[0]) * 1024


def _field(file: Path, name: str) -> str | None:
    """The value of a `name : value` line in a /proc file."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), None)


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"

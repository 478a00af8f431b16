"""Checks of GPU, driver and backends; reports everything that is missing, not only the first."""

from __future__ import annotations

import importlib.util
import os
import re
from dataclasses import asdict
from pathlib import Path

from daemon.capture.sources.nvdec import nvdec_problem
from daemon.doctor.finding import Finding, Problem
from engines.backends import BACKENDS, CPU, choose
from engines.errors import BackendError
from engines.tensorrt.backend import FLAVOURS, find, gpu

NAMES = BACKENDS[1:]
"""backends, without auto"""
_DRIVER = Path("/proc/driver/nvidia/version")
_GPUS = Path("/proc/driver/nvidia/gpus")
_UNIFIED_MEMORY = Path("/dev/nvidia-uvm")
_EXTRA = {"tensorrt": "gpu", "tensorrt_rtx": "rtx"}
_JETSON = Path("/etc/nv_tegra_release")


def device() -> Finding:
    """GPU, driver, PyCUDA and CUDA bindings; no problem on a machine without NVIDIA hardware."""
    modules = {name: importlib.util.find_spec(name) is not None for name in ("pycuda", "cuda")}
    facts: dict[str, object] = {"driver": _driver(), "pycuda": modules["pycuda"], "cuda_bindings": modules["cuda"]}
    problems = []
    if _driver() is not None or _JETSON.exists():
        for name, package in (("pycuda", "pycuda"), ("cuda", "cuda-bindings")):
            if not modules[name]:
                what = f"the package {package} is not installed, so the GPU is not used"
                problems.append(Problem("gpu", what, _install(_extra()), stops=False))
        problems += _nodes()
    elif _nvidia_hardware():
        problems.append(
            Problem(
                "gpu", "there is an NVIDIA GPU but its driver is not loaded", "apt-get install nvidia-driver", False
            )
        )
    try:
        found = gpu()
    except BackendError as error:
        facts.update(gpu=None, problem=str(error))
        if modules["pycuda"] and problems == [] and (_driver() is not None or _JETSON.exists()):
            problems.append(Problem("gpu", str(error), "nvidia-smi", stops=False))
        return Finding("gpu", str(error), facts, tuple(problems))
    cuda = f"{found.driver // 1000}.{found.driver % 1000 // 10}"
    facts.update(gpu=asdict(found), cuda=cuda, problem=None)
    capability = ".".join(map(str, found.compute_capability))
    line = f"{found.name}, {found.memory / 1e9:.0f} GB, compute {capability}, CUDA {cuda}"
    line += f", driver {_driver() or 'of JetPack'}"
    return Finding("gpu", line, facts, tuple(problems))


def nvdec() -> Finding:
    """Whether an NVIDIA GPU can decode videos; no problem where nothing asks for it."""
    problem = nvdec_problem()
    line = problem or "works; cameras with hw_acceleration: auto use it where TensorRT does"
    return Finding("nvdec", line, {"problem": problem})


def backends() -> list[Finding]:
    """Tries every backend; only the one that the configuration asks for can be a problem."""
    found = []
    for name in NAMES:
        facts = _tried(name)
        line = str(facts["problem"] or f"works, version {facts['version']}{_with(facts['gpu'])}")
        if name in FLAVOURS and facts["problem"] is not None:
            facts["installed"] = _installed(name)
            if facts["installed"] and str(facts["installed"]) not in line:
                line = f"{name} {facts['installed']} is installed; {line}"
        found.append(Finding(name, line, facts))
    return found


def chosen(wanted: str) -> Finding:
    """The backend that the daemon would use, and why."""
    facts = _tried(wanted)
    problems: tuple[Problem, ...] = ()
    if facts["problem"] is not None:
        fix = _install(_EXTRA[wanted]) if wanted in _EXTRA else "pip install onnxruntime"
        problems = (Problem("chosen", str(facts["problem"]), f"{fix}, or set inference.backend: auto"),)
    elif facts["name"] == CPU and wanted == "auto" and (_driver() is not None or _JETSON.exists()):
        problems = (Problem("chosen", f"the GPU is not used: {facts['reason']}", _install(_extra()), stops=False),)
    return Finding("chosen", str(facts["problem"] or f"{facts['name']}: {facts['reason']}"), facts, problems)


def _extra() -> str:
    """Of ospreyd's package, for the TensorRT that is for the GPU here: the first one that the driver names."""
    for information in sorted(_GPUS.glob("*/information")):
        return "rtx" if re.search("GeForce|RTX", information.read_text(encoding="utf-8", errors="replace")) else "gpu"
    return "gpu"


def _install(extra: str) -> str:
    """The same everywhere; README.md and docs/tensorrt.md say which extra is for which GPU."""
    return f"pip install 'ospreyd[{extra}]'"


def _tried(wanted: str) -> dict[str, object]:
    try:
        return {**asdict(choose(wanted)), "problem": None}
    except BackendError as error:
        return {"name": wanted, "version": None, "reason": None, "gpu": None, "problem": str(error)}


def _installed(name: str) -> str | None:
    try:
        return find(name).version
    except BackendError:
        return None


def _with(name: object) -> str:
    return f", with the {name}" if name else ""


def _driver() -> str | None:
    """Version of NVIDIA's kernel driver; None if not loaded."""
    try:
        text = _DRIVER.read_text(encoding="utf-8")
    except OSError:
        return None
    return next((word for word in text.split() if word[0].isdigit() and "." in word), "unknown")


def _nodes() -> list[Problem]:
    """Missing or inaccessible device nodes of CUDA; Jetsons have others and are not checked."""
    if _JETSON.exists():
        return []
    missing = [node for node in (Path("/dev/nvidiactl"), _UNIFIED_MEMORY) if not node.exists()]
    problems = [Problem("gpu", f"{node} is not there", "sudo nvidia-modprobe -u -c 0", stops=False) for node in missing]
    shut = [node for node in Path("/dev").glob("nvidia[0-9]*") if not os.access(node, os.R_OK | os.W_OK)]
    problems += [
        Problem(
            "gpu", f"this user may not open {node}", f"sudo usermod -aG video,render $(id -un); ls -l {node}", False
        )
        for node in shut
    ]
    return problems


def _nvidia_hardware() -> bool:
    return any(
        vendor.read_text(encoding="ascii").strip() == "0x10de"
        and (vendor.parent / "class").read_text(encoding="ascii").startswith("0x03")
        for vendor in Path("/sys/bus/pci/devices").glob("*/vendor")
    )

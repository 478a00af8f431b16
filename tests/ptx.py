"""Compiles the CUDA kernels ahead: `python -m tests.ptx` writes the .ptx beside every .cu of engines/tensorrt."""

from __future__ import annotations

import ctypes
import importlib.util
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.conftest import ROOT

SOURCES = sorted((ROOT / "engines" / "tensorrt").glob("*.cu"))
NVRTC = "12.2.140"
"""of nvidia-cuda-nvrtc-cu12: later ones write PTX that the driver of JetPack 6.0 does not take"""
_OPTIONS = (b"--gpu-architecture=compute_75", b"--fmad=false")


def compiler() -> ctypes.CDLL | None:
    """NVRTC of that version, which needs no GPU; None where it is not installed."""
    found = importlib.util.find_spec("nvidia")
    for folder in found.submodule_search_locations or () if found else ():
        library = Path(folder) / "cuda_nvrtc" / "lib" / "libnvrtc.so.12"
        if library.is_file() and (Path(folder).parent / f"nvidia_cuda_nvrtc_cu12-{NVRTC}.dist-info").is_dir():
            return ctypes.CDLL(str(library))
    return None


def compile_ptx(nvrtc: Any, source: Path) -> bytes:
    """The PTX of a .cu file. Raises ValueError with what the compiler says.

    In a thread of its own, in which NVRTC leaves the locale C behind: files would be read as ASCII in this one.
    """
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_compile, nvrtc, source).result()


def _compile(nvrtc: Any, source: Path) -> bytes:
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    _check(nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.read_bytes(), source.name.encode(), 0, None, None))
    options = (ctypes.c_char_p * len(_OPTIONS))(*_OPTIONS)
    if nvrtc.nvrtcCompileProgram(program, len(_OPTIONS), options):
        _check(nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size)))
        log = ctypes.create_string_buffer(size.value)
        _check(nvrtc.nvrtcGetProgramLog(program, log))
        raise ValueError(log.value.decode())
    _check(nvrtc.nvrtcGetPTXSize(program, ctypes.byref(size)))
    ptx = ctypes.create_string_buffer(size.value)
    _check(nvrtc.nvrtcGetPTX(program, ptx))
    return ptx.value


def _check(code: int) -> None:
    if code:
        raise ValueError(f"NVRTC gives error {code}")


if __name__ == "__main__":
    library = compiler()
    if library is None:
        raise SystemExit(f"pip install nvidia-cuda-nvrtc-cu12=={NVRTC}")
    for file in SOURCES:
        file.with_suffix(".ptx").write_bytes(compile_ptx(library, file))

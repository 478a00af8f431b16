"""The kernel for NV12 gives the model what the graph gives it; compiled for the CPU, so this needs no GPU."""

from __future__ import annotations

import ctypes
import importlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.pictures import Nv12Picture
from tests.conftest import ROOT
from tests.engines.nv12_cases import INPUTS, check, model_of, name_of, pictures, shape_of

_BEFORE = """
#include <math.h>
#include <stddef.h>
#include <algorithm>
using std::min;
#define __device__
#define __global__
struct uchar2 { unsigned char x, y; };
static struct { int x, y, z; } threadIdx, blockIdx, blockDim = {32, 8, 1};
"""
_AFTER = """
extern "C" void letterbox_all(const Picture *pictures, void *out, const Input *input, int count)
{
    for (blockIdx.z = 0; blockIdx.z < count; ++blockIdx.z)
        for (blockIdx.y = 0; blockIdx.y * 8 < input->height; ++blockIdx.y)
            for (blockIdx.x = 0; blockIdx.x * 32 < input->width; ++blockIdx.x)
                for (threadIdx.y = 0; threadIdx.y < 8; ++threadIdx.y)
                    for (threadIdx.x = 0; threadIdx.x < 32; ++threadIdx.x)
                        letterbox(pictures, out, *input);
}
"""
_TO_HALF = 'asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(value));'
_HALF = "_Float16 rounded = (_Float16)value; __builtin_memcpy(&half, &rounded, 2);"
Kernel = Callable[[list[Nv12Picture], Any, "np.dtype[Any]"], NDArray[Any]]


@pytest.fixture
def letterbox(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module `engines.tensorrt.letterbox`, also where there is no CUDA."""
    for name, held in (("device", ["Device"]), ("driver", ["upload"]), ("kernels", ["KernelModule"])):
        module = ModuleType(f"engines.tensorrt.{name}")
        module.__dict__.update(dict.fromkeys(held, object))
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.delitem(sys.modules, "engines.tensorrt.letterbox", raising=False)
    yield importlib.import_module("engines.tensorrt.letterbox")
    sys.modules.pop("engines.tensorrt.letterbox")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("there is no g++")
    folder = tmp_path_factory.mktemp("kernel")
    text = (ROOT / "engines" / "tensorrt" / "letterbox.cu").read_text()
    assert text.count(_TO_HALF) == 1
    (folder / "letterbox.cpp").write_text(_BEFORE + text.replace(_TO_HALF, _HALF) + _AFTER)
    options = ["-O2", "-ffp-contract=off", "-std=c++14", "-shared", "-fPIC"]
    subprocess.run([compiler, *options, "letterbox.cpp", "-o", "letterbox.so"], cwd=folder, check=True)
    return ctypes.CDLL(str(folder / "letterbox.so"))


@pytest.mark.parametrize("case", INPUTS, ids=name_of)
def test_it_gives_what_the_graph_gives(case: Any, letterbox: Any, library: ctypes.CDLL) -> None:
    """Of pictures of every size, matrix and range at once, in places that are two apart."""
    model, dtype, given = model_of(case), case[1], pictures()
    described = letterbox._described(model.geometry, model.width, model.height, dtype, model.planar)
    rows = np.zeros(len(given), letterbox._PICTURE)
    for place, each in enumerate(given):
        shown = each.width, each.height, each.pitch, each.matrix, each.full_range
        rows[place] = letterbox._template(*shown, model.width, model.height, model.geometry.fit)
        rows[place]["luma"], rows[place]["chroma"], rows[place]["index"] = each.luma, each.chroma, 2 * place
    out = np.zeros((2 * len(given), *shape_of(model)), dtype)
    addresses = [ctypes.c_void_p(array.ctypes.data) for array in (rows, out)]
    library.letterbox_all(*addresses, ctypes.byref(described), len(given))
    assert not out[1::2].any()
    for each, got in zip(given, out[::2], strict=True):
        check(got, each, model)

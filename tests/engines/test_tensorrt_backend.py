"""What the installed TensorRT can do, found by trying; and every call that the code makes exists in other versions."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import engines.tensorrt
from engines.backends import BACKENDS, build_target, choose
from engines.errors import BackendError
from engines.precision import Precision
from engines.tensorrt.backend import find, gpu
from tests.conftest import ROOT, missing, need_bindings, telling

SOURCES = sorted(Path(engines.tensorrt.__path__[0]).glob("*.py"))
LEAN = ROOT / ".venv" / "tensorrt-lean"


def test_a_tensorrt_that_is_not_installed() -> None:
    with pytest.raises(BackendError, match=telling("tensorrt", "pip install 'ospreyd[gpu]'")):
        find("tensorrt")


@pytest.fixture
def no_gpu() -> None:
    try:
        gpu()
    except BackendError:
        return
    pytest.skip("there is a GPU here")


def test_without_a_gpu_auto_takes_onnx_runtime_and_says_why(no_gpu: None) -> None:
    chosen = choose("auto")
    assert chosen.name == "onnxruntime"
    assert chosen.gpu is None
    assert re.match("no TensorRT works here: (PyCUDA is not installed|there is no NVIDIA driver)", chosen.reason)


@pytest.mark.parametrize("name", ["tensorrt", "tensorrt_rtx"])
def test_without_a_gpu_tensorrt_cannot_be_had(no_gpu: None, name: str) -> None:
    with pytest.raises(BackendError, match=telling(name)):
        choose(name)


def test_an_unknown_backend() -> None:
    with pytest.raises(BackendError, match=telling("'cuda'", *BACKENDS)):
        choose("cuda")


def test_onnx_runtime_needs_no_engines() -> None:
    with pytest.raises(BackendError, match=telling("ONNX Runtime")):
        build_target("onnxruntime")


class TestRtx:
    """TensorRT for RTX, which builds without a GPU."""

    @pytest.fixture(autouse=True)
    def _installed(self) -> None:
        try:
            find("tensorrt_rtx")
        except BackendError as error:
            missing("TensorRT for RTX", str(error))

    @pytest.mark.usefixtures("no_gpu")
    def test_builds_for_any_gpu_where_there_is_none(self) -> None:
        target = build_target()
        assert target.tensorrt.name == "tensorrt_rtx"
        assert target.gpu is None

    def test_what_it_can_do(self) -> None:
        trt = find("tensorrt_rtx")
        assert all(trt.can(precision) for precision in Precision)
        assert [op for op in ("Conv", "NonMaxSuppression", "NonZero", "TopK") if trt.runs(op)] == ["Conv", "TopK"]
        assert trt.has_kernel_cache
        assert not trt.has_timing_cache
        assert not trt.has_weak_typing


OWNERS = {
    "engine": "ICudaEngine",
    "context": "IExecutionContext",
    "_execution": "IExecutionContext",
    "_detector": "IExecutionContext",
    "_runtime": "Runtime",
    "runtime": "Runtime",
}
ONLY_RTX = {"create_runtime_config"}
"""called only where TensorRtRtx.has_kernel_cache; classic 10.3 does not have it"""


def calls() -> set[tuple[str, str]]:
    """Class and attribute of everything that the code asks of TensorRT's run-time objects, told by their names."""
    found = set()
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                owner = node.value.id if isinstance(node.value, ast.Name) else getattr(node.value, "attr", None)
                if owner in OWNERS:
                    found.add((OWNERS[owner], node.attr))
    return found


def test_every_call_at_run_time_exists_in_classic_tensorrt() -> None:
    need_bindings(LEAN)
    program = """
import sys, tensorrt_lean
wanted = [name.split(".") for name in sys.argv[1:]]
print([name for name in wanted if not hasattr(getattr(tensorrt_lean, name[0]), name[1])])
"""
    wanted = sorted(f"{owner}.{name}" for owner, name in calls() if name not in ONLY_RTX)
    assert "IExecutionContext.execute_async_v3" in wanted
    assert "Runtime.deserialize_cuda_engine" in wanted
    answer = subprocess.run(
        [sys.executable, "-c", program, *wanted],
        env={"PYTHONPATH": str(LEAN)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.strip() == "[]"

"""The kernel of NMS keeps what the host keeps, to the last bit; compiled for the CPU, so this needs no GPU."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest

from engines.errors import ModelError
from engines.postprocess import Thresholds, of_kept, to_detections
from engines.records import Detections, Fit, Letterbox
from tests.conftest import ROOT
from tests.engines.candidates import KINDS, THRESHOLDS, Candidates, candidates

PLACES = [Letterbox.of(1920 - 2 * (i % 3), 1080, 640, 640, Fit.CENTRED) for i in range(4)]
_SOURCE = """
#include "{shim}"
{kernel}
extern "C" void suppress_all(int blocks, int threads, const float4 *b, const float *s, const int *l, float4 *kb,
                             float *ks, int *kl, int *counts, int candidates, float confidence, float iou)
{{
    run(blocks, threads, [=] {{ suppress(b, s, l, kb, ks, kl, counts, candidates, confidence, iou); }});
}}
"""
Kernel: TypeAlias = "Callable[[Candidates, Thresholds, int], tuple[Detections, ...]]"


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Kernel:
    """Of candidates, thresholds and the number of threads, what the kernel keeps."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("there is no g++")
    folder = tmp_path_factory.mktemp("kernel")
    text = (ROOT / "engines" / "tensorrt" / "nms.cu").read_text()
    dynamic = "extern __shared__ float4 box[];"
    assert text.count(dynamic) == 1
    text = text.replace(dynamic, "float4 *box = (float4 *)shared_memory;")
    (folder / "nms.cpp").write_text(_SOURCE.format(shim=Path(__file__).with_name("cuda_on_cpu.h"), kernel=text))
    options = ["-O2", "-ffp-contract=off", "-std=c++14", "-shared", "-fPIC", "-pthread"]
    subprocess.run([compiler, *options, "nms.cpp", "-o", "nms.so"], cwd=folder, check=True)
    function = ctypes.CDLL(str(folder / "nms.so")).suppress_all

    def run(given: Candidates, thresholds: Thresholds, threads: int) -> tuple[Detections, ...]:
        batch, count = given.scores.shape
        kept = [np.full_like(array, 7) for array in (given.boxes, given.scores, given.labels)]
        counts = np.full(batch, 7, np.int32)
        arrays = (given.boxes, given.scores, given.labels, *kept, counts)
        addresses = [ctypes.c_void_p(array.ctypes.data) for array in arrays]
        lowest, iou = ctypes.c_float(thresholds.confidence), ctypes.c_float(thresholds.iou)
        function(batch, threads, *addresses, count, lowest, iou)
        boxes, scores, labels = kept
        return of_kept(boxes, scores, labels, counts, PLACES[:batch], thresholds.confidence)  # type: ignore[arg-type]

    return run


@pytest.mark.parametrize("kind", KINDS)
def test_it_keeps_what_the_host_keeps(kind: str, kernel: Kernel) -> None:
    kept = 0
    for seed, (count, threads) in enumerate([(1, 32), (2, 32), (31, 32), (33, 32), (80, 64)]):
        given = candidates(kind, 1 + seed % len(PLACES), count, seed)
        for iou in THRESHOLDS:
            thresholds = Thresholds((0.25, 0.0, 0.5, 0.9)[seed % 4], iou)
            found = kernel(given, thresholds, threads)
            for i, (place, each) in enumerate(zip(PLACES, found, strict=False)):
                arrays = given.boxes[i], given.scores[i], given.labels[i]
                wanted = to_detections(*arrays, place, thresholds, nms=True)
                for name in ("boxes", "scores", "labels"):
                    assert np.array_equal(getattr(each, name), getattr(wanted, name)), (kind, count, iou, name)
                kept += len(each)
    assert kept


@pytest.mark.parametrize(
    ("what", "place", "value"),
    [("scores", (1, 45), np.nan), ("boxes", (2, 3, 1), np.nan), ("scores", (0, 0), 2.0)],
)
def test_what_is_no_number_or_no_score_is_told(what: str, place: tuple[int, ...], value: float, kernel: Kernel) -> None:
    given = candidates("usual", 4, 50, 7)
    getattr(given, what)[place] = value
    with pytest.raises(ModelError):
        kernel(given, Thresholds(0.25), 32)


def test_padding_may_be_anything(kernel: Kernel) -> None:
    given = candidates("usual", 4, 50, 7)
    given.boxes[:, -1] = np.nan
    assert all(len(found) for found in kernel(given, Thresholds(0.25), 32))


def test_one_candidate_alone_may_have_no_score(kernel: Kernel) -> None:
    """Of several, OpenCV leaves those out."""
    for count, kept in ((1, 1), (2, 0)):
        given = candidates("usual", 1, count, 7)
        given.scores[:] = 0
        assert len(kernel(given, Thresholds(0.0), 32)[0]) == kept

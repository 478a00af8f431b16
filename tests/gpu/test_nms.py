"""NMS on the GPU keeps what NMS on the host keeps, to the last bit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from engines.backends import Backend
from engines.errors import BackendError, ModelError
from engines.postprocess import Thresholds, to_detections
from engines.records import Detections, Fit, Letterbox
from tests.engines.candidates import KINDS, THRESHOLDS, Candidates, candidates

if TYPE_CHECKING:
    from engines.tensorrt.results import Results

BATCH, MOST = 8, 1000
PLACES = [Letterbox.of(1920 - 2 * (i % 3), 1080, 640, 640, Fit.CENTRED) for i in range(BATCH)]


class Gpu:
    """Results of candidates that are written where a detector would."""

    def __init__(self, count: int) -> None:
        from engines.tensorrt.device import use_device  # noqa: PLC0415  it needs NVIDIA's CUDA bindings
        from engines.tensorrt.results import Outputs, results_maker  # noqa: PLC0415

        device = use_device()
        self.stream = device.stream()
        shapes = [(BATCH, count, 4), (BATCH, count), (BATCH, count)]
        self._outputs = Outputs(device, shapes, [np.dtype(np.float32), np.dtype(np.float32), np.dtype(np.int32)])
        self._staging = [device.pinned(shape, host.array.dtype) for shape, host in zip(shapes, self._outputs.host)]  # noqa: B905
        self.results: Results = results_maker(device, nms=True)(self._outputs)

    def __call__(self, given: Candidates, thresholds: Thresholds) -> tuple[Detections, ...]:
        from engines.tensorrt.driver import upload  # noqa: PLC0415

        batch = len(given.scores)
        arrays = (given.boxes, given.scores, given.labels)
        for memory, staging, array in zip(self._outputs.memory, self._staging, arrays, strict=True):
            staging.array[:batch] = array
            upload(int(memory), staging.array[:batch], self.stream)
        self.results.enqueue(batch, thresholds, self.stream)
        self.stream.synchronize()
        return self.results.detections(PLACES[:batch], thresholds)

    def close(self) -> None:
        self.results.free()
        for each in self._staging:
            each.free()


@pytest.fixture
def gpu(backend: Backend) -> Iterator[Callable[[int], Gpu]]:
    """For so many candidates of a picture."""
    made: list[Gpu] = []

    def make(count: int) -> Gpu:
        made.append(Gpu(count))
        return made[-1]

    yield make
    for each in made:
        each.close()


def on_the_host(given: Candidates, thresholds: Thresholds) -> list[Detections]:
    return [
        to_detections(given.boxes[i], given.scores[i], given.labels[i], PLACES[i], thresholds, nms=True)
        for i in range(len(given.scores))
    ]


def same(a: Detections, b: Detections) -> bool:
    pairs = zip((a.boxes, a.scores, a.labels), (b.boxes, b.scores, b.labels), strict=True)
    return all(np.array_equal(one, other) and one.dtype == other.dtype for one, other in pairs)


@pytest.mark.parametrize("kind", KINDS)
def test_it_keeps_what_the_host_keeps(kind: str, gpu: Callable[[int], Gpu]) -> None:
    kept = 0
    for count in (1, 2, 31, 32, 33, 300, MOST):
        run = gpu(count)
        for seed in range(5):
            batch = 1 + seed % BATCH
            given = candidates(kind, batch, count, seed)
            for iou in THRESHOLDS:
                thresholds = Thresholds((0.0, 0.25, 0.5, 0.9)[seed % 4], iou)
                found, wanted = run(given, thresholds), on_the_host(given, thresholds)
                assert all(map(same, found, wanted)), (kind, count, seed, iou)
                kept += sum(map(len, found))
    assert kept


def test_what_is_no_number_or_no_score_is_told(gpu: Callable[[int], Gpu]) -> None:
    run = gpu(50)
    for what, place, value in (("scores", (1, 45), np.nan), ("boxes", (2, 3, 1), np.nan), ("scores", (0, 0), 2.0)):
        given = candidates("usual", 4, 50, 7)
        getattr(given, what)[place] = value
        with pytest.raises(ModelError):
            run(given, Thresholds(0.25))
    given = candidates("usual", 4, 50, 7)
    given.boxes[1, -1] = np.nan  # padding
    assert all(map(same, run(given, Thresholds(0.25)), on_the_host(given, Thresholds(0.25))))


def test_a_batch_takes_the_gpu_little_time(gpu: Callable[[int], Gpu]) -> None:
    """A thousand candidates each, of which a detector on a street has a few dozen above the threshold."""
    run = gpu(MOST)
    given = candidates("usual", BATCH, MOST, 3)
    run(given, Thresholds(0.97))
    began = time.perf_counter()
    for _ in range(100):
        run.results.enqueue(BATCH, Thresholds(0.97), run.stream)
    run.stream.synchronize()
    assert (time.perf_counter() - began) / 100 < 1e-3


def test_without_the_kernel_the_host_does_it(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from engines.tensorrt import results  # noqa: PLC0415

    def refuse(*_: Any) -> None:
        raise BackendError("a driver that is too old")

    results._module.cache_clear()
    monkeypatch.setattr(results, "KernelModule", refuse)
    runs = [Gpu(20), Gpu(20)]
    results._module.cache_clear()
    given = candidates("usual", 2, 20, 1)
    for run in runs:
        assert all(map(same, run(given, Thresholds(0.3)), on_the_host(given, Thresholds(0.3))))
        run.close()
    assert [record.message for record in caplog.records if "too old" in record.message] == [caplog.records[0].message]

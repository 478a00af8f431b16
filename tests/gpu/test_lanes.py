"""Lanes on the GPU: order, what is shared, sizes, memory and errors."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engines.backends import Backend, LaneSettings, frame_allocator, open_lane, prepare
from engines.build.cache import EngineCache
from engines.evaluate.verify import EVERY_CANDIDATE, GraphReference, compare_candidates
from engines.model import Model, read_model
from engines.models import street_onnx
from engines.models.street import StreetScene
from engines.pictures import read_picture
from engines.precision import Precision
from engines.records import Detections, Lane, Ticket
from tests.conftest import ROOT, wait_for

SIZES = ((1280, 720), (640, 480), (333, 517), (1920, 1080), (417, 255))
OVERLAP = 0.45
MAX_BATCH = 4


@pytest.fixture(scope="module")
def model() -> Model:
    return read_model(street_onnx())


@pytest.fixture
def settings(backend: Backend, cache: EngineCache, model: Model) -> LaneSettings:
    """Built, so that what a test does is what a second start does."""
    settings = LaneSettings(EVERY_CANDIDATE, max_batch=MAX_BATCH, cache=cache.folder)
    prepare(backend, model, settings, lambda *_: None)
    return settings


@pytest.fixture
def lane(backend: Backend, model: Model, settings: LaneSettings) -> Iterator[Lane]:
    lane = open_lane(backend, model, settings)
    yield lane
    lane.close()


def street(seed: int, size: tuple[int, int] = (640, 480)) -> NDArray[np.uint8]:
    return StreetScene(*size, seed=seed).render(5.0)[0]


def one(lane: Lane, pictures: Sequence[NDArray[np.uint8]]) -> tuple[Detections, ...]:
    return lane.collect(lane.submit(pictures)).detections


def same(found: Detections, wanted: Detections) -> bool:
    """But for what another kernel, of another batch size, rounds otherwise; both hold every candidate."""
    comparison = compare_candidates(wanted, found, OVERLAP)
    return comparison.agrees and comparison.expected > 0


def test_batches_do_not_wait_for_each_other_nor_mix(lane: Any) -> None:
    """While the GPU is held before one batch, the next goes through; each gives what its pictures show."""
    from tests.gpu.kernels import Latch  # noqa: PLC0415  it needs PyCUDA

    first, second = [street(1), street(2)], [street(3), street(4)]
    wanted = [one(lane, first), one(lane, second)]
    for _ in range(6):  # every slot has its memory and its graphs, which it would wait for
        one(lane, first)
        one(lane, second)
    for _ in range(4):
        latch = Latch()
        latch.hold(lane._slots[lane._submitted % lane.slots].stream)
        held = lane.submit(first)
        free = lane.submit(second)
        wait_for(partial(lane.is_done, free), "the batch that is not held")
        assert not lane.is_done(held)
        latch.open()
        found = [lane.collect(held).detections, lane.collect(free).detections]
        latch.close()
        assert all(same(f, w) for fs, ws in zip(found, wanted, strict=True) for f, w in zip(fs, ws, strict=True))
        assert not same(found[0][0], found[0][1])


def test_the_detector_waits_for_the_pictures_that_are_prepared_beside(lane: Any) -> None:
    """The second picture of a batch goes through a stream of its own."""
    from tests.gpu.kernels import Latch  # noqa: PLC0415

    pictures = [street(5), street(6)]
    wanted = one(lane, pictures)
    large = street(8, (1280, 720))
    for batch in ([large, street(7)], [street(7), large]):
        for _ in range(lane.slots):  # each has its memory and what both sizes need, but no graph, which has no side
            one(lane, batch)
    latch = Latch()
    latch.hold(lane._slots[lane._submitted % lane.slots].side_stream)
    held = lane.submit(pictures)
    free = lane.submit([street(7)])
    wait_for(partial(lane.is_done, free), "the batch that is not held")
    assert not lane.is_done(held)
    latch.open()
    found = lane.collect(held).detections
    lane.collect(free)
    latch.close()
    assert all(same(f, w) for f, w in zip(found, wanted, strict=True))


def test_cameras_of_five_sizes_at_once(lane: Lane, backend: Backend) -> None:
    """In page-locked memory and elsewhere; again and again in another order, so that sizes change at each place."""
    allocate = frame_allocator(backend)
    assert allocate is not None
    pictures = []
    for number, size in enumerate(SIZES):
        picture = street(number, size)
        pictures.append(picture)
        if number % 2:
            pictures[-1] = allocate(picture.shape)
            pictures[-1][:] = picture
    wanted = [one(lane, [picture])[0] for picture in pictures]
    order = list(islice(cycle(range(len(SIZES))), 80 * MAX_BATCH - 1))
    pending: list[tuple[list[int], Ticket]] = []
    for start in range(0, len(order), MAX_BATCH):
        batch = order[start : start + MAX_BATCH]
        if len(pending) == lane.slots:
            check(lane, *pending.pop(0), wanted=wanted)
        pending.append((batch, lane.submit([pictures[i] for i in batch])))
    for batch, ticket in pending:
        check(lane, batch, ticket, wanted=wanted)


def check(lane: Lane, batch: list[int], ticket: Ticket, *, wanted: list[Detections]) -> None:
    found = lane.collect(ticket).detections
    assert all(same(f, wanted[i]) for f, i in zip(found, batch, strict=True))


def test_a_camera_that_changes_its_size_while_running(lane: Lane) -> None:
    """Growing and shrinking, beside one that does not change."""
    steady = street(11)
    wanted = one(lane, [steady])[0]
    for size in [(640, 360), (1920, 1080), (3840, 2160), (640, 360), (1280, 720)] * 2:
        changing = street(12, size)
        alone = one(lane, [changing])[0]
        found = one(lane, [changing, steady, changing])
        assert same(found[0], alone)
        assert same(found[1], wanted)
        assert same(found[2], alone)


@pytest.mark.parametrize("name", ["yolox_nano_416", "deimv2_atto_320"])
def test_batches_of_every_size_in_any_order(name: str, backend: Backend, cache: EngineCache, material: Path) -> None:
    """Each size is a graph of its own, recorded with one execution context after another size."""
    model = read_model(material / "models" / f"{name}.onnx", labels="coco")
    precision = Precision.FP32  # so that nothing but a mistake changes what is seen
    lane = open_lane(
        backend, model, LaneSettings(EVERY_CANDIDATE, max_batch=4, precision=precision, cache=cache.folder)
    )
    pictures = [read_picture(path) for path in sorted((material / "images").iterdir())[:4]]
    reference = GraphReference(model)
    wanted = [reference(picture) for picture in pictures]
    for size in (4, 1, 2, 1, 3, 4, 2, 3, 1) * 2:
        found = one(lane, pictures[:size])
        overlap = OVERLAP if model.family.nms else None
        assert all(compare_candidates(w, f, overlap).agrees for w, f in zip(wanted, found, strict=False))
    lane.close()


def test_two_models_at_once(backend: Backend, cache: EngineCache, lane: Lane, material: Path) -> None:
    """Their batches are on the GPU together, and give what each gives alone."""
    other = open_lane(
        backend,
        read_model(material / "models" / "yolox_nano_416.onnx", labels="coco"),
        LaneSettings(EVERY_CANDIDATE, max_batch=2, cache=cache.folder),
    )
    pictures = [street(20), street(21)]
    wanted = {id(each): one(each, pictures) for each in (lane, other)}
    for _ in range(20):
        tickets = [(each, each.submit(pictures)) for each in (lane, other)]
        for each, ticket in reversed(tickets):
            found = each.collect(ticket).detections
            assert all(same(f, w) for f, w in zip(found, wanted[id(each)], strict=True))
    other.close()


@pytest.mark.alone
def test_what_is_opened_and_closed_again_leaves_nothing(backend: Backend, model: Model, settings: LaneSettings) -> None:
    """Also with batches on their way; device memory is as it was."""
    import pycuda.driver as cuda  # noqa: PLC0415

    from engines.tensorrt.device import Device  # noqa: PLC0415

    device = Device.acquire()
    used = []
    for _ in range(6):
        lane = open_lane(backend, model, settings)
        for _ in range(lane.slots):
            lane.submit([street(30, (1920, 1080))])
        lane.close()
        used.append(cuda.mem_get_info()[1] - cuda.mem_get_info()[0])
    device.release()
    assert used[-1] - used[1] < 1e6


@pytest.mark.alone
def test_too_little_memory_lowers_the_batch(
    backend: Backend, model: Model, cache: EngineCache, caplog: pytest.LogCaptureFixture
) -> None:
    import pycuda.driver as cuda  # noqa: PLC0415

    from engines.tensorrt.device import Device  # noqa: PLC0415

    settings = LaneSettings(EVERY_CANDIDATE, max_batch=64, cache=cache.folder)
    prepare(backend, model, settings, lambda *_: None)
    device = Device.acquire()
    before = cuda.mem_get_info()[0]
    open_lane(backend, model, settings).close()
    lane = open_lane(backend, model, settings)
    needed = before - cuda.mem_get_info()[0]
    lane.close()
    hog = cuda.mem_alloc(cuda.mem_get_info()[0] - int(0.6 * needed))
    try:
        lane = open_lane(backend, model, settings)
        assert 1 <= lane.max_batch < 64
        assert len(one(lane, [street(1)])[0])
        lane.close()
        assert f"trying batches of {lane.max_batch}" in caplog.text
    finally:
        hog.free()
        device.release()


def test_a_process_that_loses_its_context_says_so_and_ends(settings: LaneSettings) -> None:
    """Nothing hangs, nothing aborts, and the message names the stage."""
    program = f"""
import logging, sys
from pathlib import Path
from engines.backends import LaneSettings, choose, open_lane
from engines.errors import BackendError
from engines.model import read_model
from engines.models import street_onnx
from engines.postprocess import Thresholds
from tests.gpu.kernels import break_context
import numpy as np
settings = LaneSettings(Thresholds(0.3, 0.45), {MAX_BATCH}, cache=Path({str(settings.cache)!r}))
lane = open_lane(choose(), read_model(street_onnx()), settings)
picture = np.zeros((480, 640, 3), np.uint8)
lane.collect(lane.submit([picture]))
break_context()
try:
    for _ in range(100):
        lane.collect(lane.submit([picture]))
except BackendError as error:
    print(error)
lane.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("the GPU failed in ")

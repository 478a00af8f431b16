"""Sessions on the GPU: order, what is shared, sizes, memory and errors."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from daemon.demo.street.generator import StreetScene
from engines.backends import Backend, Prepared, SessionSettings, find_prepared, frame_allocator, open_session, prepare
from engines.build.cache import EngineCache
from engines.errors import GpuMemoryError, NotPreparedError
from engines.evaluate.verify import EVERY_CANDIDATE, GraphReference, compare_candidates
from engines.image_file import read_image
from engines.model import Model, read_model
from engines.models import street_onnx
from engines.precision import Precision
from engines.records import Detections, DetectorSession, Handle
from tests.conftest import ROOT, wait_for

SIZES = ((1280, 720), (640, 480), (333, 517), (1920, 1080), (417, 255))
OVERLAP = 0.45
MAX_BATCH = 4


@pytest.fixture(scope="module")
def model() -> Model:
    return read_model(street_onnx())


@pytest.fixture
def prepared(backend: Backend, cache: EngineCache, model: Model) -> Prepared:
    """Built, so that what a test does is what a second start does."""
    settings = SessionSettings(EVERY_CANDIDATE, max_batch=MAX_BATCH, cache=cache.folder)
    return prepare(backend, model, settings, silent)


def silent(_what: str, _fraction: float) -> None:
    pass


@pytest.fixture
def session(prepared: Prepared) -> Iterator[DetectorSession]:
    session = open_session(prepared)
    yield session
    session.close()


def street(seed: int, size: tuple[int, int] = (640, 480)) -> NDArray[np.uint8]:
    return StreetScene(*size, seed=seed).render(5.0)[0]


def in_thread(work: Callable[[], object]) -> None:
    """Does it in a thread of its own."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(work).result()


def one(session: DetectorSession, pictures: Sequence[NDArray[np.uint8]]) -> tuple[Detections, ...]:
    return session.collect(session.submit(pictures)).detections


def same(found: Detections, wanted: Detections) -> bool:
    """But for what another kernel, of another batch size, rounds otherwise; both hold every candidate."""
    comparison = compare_candidates(wanted, found, OVERLAP)
    return comparison.agrees and comparison.expected > 0


def test_batches_do_not_wait_for_each_other_nor_mix(session: Any) -> None:
    """While the GPU is held before one batch, the next goes through; each gives what its pictures show."""
    from tests.gpu.kernels import Latch  # noqa: PLC0415  it needs NVIDIA's CUDA bindings

    first, second = [street(1), street(2)], [street(3), street(4)]
    wanted = [one(session, first), one(session, second)]
    for _ in range(6):  # every slot has its memory and its graphs, which it would wait for
        one(session, first)
        one(session, second)
    for _ in range(4):
        latch = Latch()
        latch.hold(session._slots[session._submitted % session.slots].stream)
        held = session.submit(first)
        free = session.submit(second)
        wait_for(partial(session.is_done, free), "the batch that is not held")
        assert not session.is_done(held)
        latch.open()
        found = [session.collect(held).detections, session.collect(free).detections]
        latch.close()
        assert all(same(f, w) for fs, ws in zip(found, wanted, strict=True) for f, w in zip(fs, ws, strict=True))
        assert not same(found[0][0], found[0][1])


def test_the_detector_waits_for_the_pictures_that_are_prepared_beside(session: Any) -> None:
    """The second picture of a batch goes through a stream of its own."""
    from tests.gpu.kernels import Latch  # noqa: PLC0415

    pictures = [street(5), street(6)]
    wanted = one(session, pictures)
    large = street(8, (1280, 720))
    for batch in ([large, street(7)], [street(7), large]):
        for _ in range(session.slots):  # each has its memory and what both sizes need, but no graph, which has no side
            one(session, batch)
    latch = Latch()
    latch.hold(session._slots[session._submitted % session.slots].side_stream)
    held = session.submit(pictures)
    free = session.submit([street(7)])
    wait_for(partial(session.is_done, free), "the batch that is not held")
    assert not session.is_done(held)
    latch.open()
    found = session.collect(held).detections
    session.collect(free)
    latch.close()
    assert all(same(f, w) for f, w in zip(found, wanted, strict=True))


def test_cameras_of_five_sizes_at_once(session: DetectorSession, backend: Backend) -> None:
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
    wanted = [one(session, [picture])[0] for picture in pictures]
    order = list(islice(cycle(range(len(SIZES))), 80 * MAX_BATCH - 1))
    pending: list[tuple[list[int], Handle]] = []
    for start in range(0, len(order), MAX_BATCH):
        batch = order[start : start + MAX_BATCH]
        if len(pending) == session.slots:
            check(session, *pending.pop(0), wanted=wanted)
        pending.append((batch, session.submit([pictures[i] for i in batch])))
    for batch, handle in pending:
        check(session, batch, handle, wanted=wanted)


def check(session: DetectorSession, batch: list[int], handle: Handle, *, wanted: list[Detections]) -> None:
    found = session.collect(handle).detections
    assert all(same(f, wanted[i]) for f, i in zip(found, batch, strict=True))


def test_a_camera_that_changes_its_size_while_running(session: DetectorSession) -> None:
    """Growing and shrinking, beside one that does not change."""
    steady = street(11)
    wanted = one(session, [steady])[0]
    for size in [(640, 360), (1920, 1080), (3840, 2160), (640, 360), (1280, 720)] * 2:
        changing = street(12, size)
        alone = one(session, [changing])[0]
        found = one(session, [changing, steady, changing])
        assert same(found[0], alone)
        assert same(found[1], wanted)
        assert same(found[2], alone)


@pytest.mark.parametrize("name", ["yolox_nano_416", "deimv2_atto_320"])
def test_batches_of_every_size_in_any_order(name: str, backend: Backend, cache: EngineCache, material: Path) -> None:
    """Each size is a graph of its own, recorded with one execution context after another size."""
    model = read_model(material / "models" / f"{name}.onnx", labels="coco")
    precision = Precision.FP32  # so that nothing but a mistake changes what is seen
    settings = SessionSettings(EVERY_CANDIDATE, max_batch=4, precision=precision, cache=cache.folder)
    session = open_session(prepare(backend, model, settings, silent))
    pictures = [read_image(path) for path in sorted((material / "images").iterdir())[:4]]
    reference = GraphReference(model)
    wanted = [reference(picture) for picture in pictures]
    for size in (4, 1, 2, 1, 3, 4, 2, 3, 1) * 2:
        found = one(session, pictures[:size])
        overlap = OVERLAP if model.family.nms else None
        assert all(compare_candidates(w, f, overlap).agrees for w, f in zip(wanted, found, strict=False))
    session.close()


def test_two_models_at_once(backend: Backend, cache: EngineCache, session: DetectorSession, material: Path) -> None:
    """Their batches are on the GPU together, and give what each gives alone."""
    second = read_model(material / "models" / "yolox_nano_416.onnx", labels="coco")
    settings = SessionSettings(EVERY_CANDIDATE, max_batch=2, cache=cache.folder)
    other = open_session(prepare(backend, second, settings, silent))
    pictures = [street(20), street(21)]
    wanted = {id(each): one(each, pictures) for each in (session, other)}
    for _ in range(20):
        handles = [(each, each.submit(pictures)) for each in (session, other)]
        for each, handle in reversed(handles):
            found = each.collect(handle).detections
            assert all(same(f, w) for f, w in zip(found, wanted[id(each)], strict=True))
    other.close()


def test_threads_take_turns(prepared: Prepared, session: DetectorSession) -> None:
    """One opens a session, another uses it, a third closes it; and it sees what one sees that stays in its thread."""
    pictures = [street(31), street(32, (1280, 720))]
    wanted = one(session, pictures)
    opened: list[DetectorSession] = []
    found: list[Detections] = []
    in_thread(lambda: opened.append(open_session(prepared, {(720, 1280)})))
    in_thread(lambda: found.extend(one(opened[0], pictures)))
    in_thread(opened[0].close)
    assert all(same(f, w) for f, w in zip(found, wanted, strict=True))


@pytest.mark.alone
def test_what_is_opened_and_closed_again_leaves_nothing(prepared: Prepared) -> None:
    """Also with batches in flight, and closed in another thread; device memory is as it was."""
    from engines.tensorrt.device import use_device  # noqa: PLC0415  it needs NVIDIA's CUDA bindings

    device = use_device()
    used = []
    for _ in range(6):
        session = open_session(prepared)
        for _ in range(session.slots):
            session.submit([street(30, (1920, 1080))])
        in_thread(session.close)
        free, total = device.memory_info()
        used.append(total - free)
    assert used[-1] - used[1] < 1e6


@pytest.mark.alone
def test_too_little_memory_is_told(backend: Backend, model: Model, cache: EngineCache) -> None:
    """What was allocated until then is free again, so that a session with smaller batches opens."""
    from engines.tensorrt.device import use_device  # noqa: PLC0415

    settings = SessionSettings(EVERY_CANDIDATE, max_batch=64, cache=cache.folder)
    prepared = prepare(backend, model, settings, silent)
    smaller = prepare(backend, model, replace(settings, max_batch=8), silent)
    device = use_device()
    open_session(prepared).close()
    before = device.memory_info()[0]
    session = open_session(prepared)
    needed = before - device.memory_info()[0]
    session.close()
    hog = device.memory(device.memory_info()[0] - int(0.6 * needed))
    try:
        with pytest.raises(GpuMemoryError):
            open_session(prepared)
        session = open_session(smaller)
        assert len(one(session, [street(1)])[0])
        session.close()
    finally:
        hog.free()


def test_a_refused_plan_is_deleted_and_not_built(backend: Backend, model: Model, tmp_path: Path) -> None:
    settings = SessionSettings(EVERY_CANDIDATE, max_batch=2, cache=tmp_path / "engines")
    prepared = prepare(backend, model, settings, silent)
    assert prepared.engines is not None
    prepared.engines.detector.write_bytes(b"damaged after it was found")
    with pytest.raises(NotPreparedError):
        open_session(prepared)
    assert not prepared.engines.detector.exists()
    assert find_prepared(backend, model, settings) is None


def test_a_process_that_loses_its_context_says_so_and_ends(prepared: Prepared) -> None:
    """Nothing hangs, nothing aborts, and the message names the stage."""
    program = f"""
import logging, sys
from pathlib import Path
from engines.backends import SessionSettings, choose, find_prepared, open_session
from engines.errors import BackendError
from engines.model import read_model
from engines.models import street_onnx
from engines.postprocess import Thresholds
from tests.gpu.kernels import break_context
import numpy as np
settings = SessionSettings(Thresholds(0.3, 0.45), {MAX_BATCH}, cache=Path({str(prepared.settings.cache)!r}))
session = open_session(find_prepared(choose(), read_model(street_onnx()), settings))
picture = np.zeros((480, 640, 3), np.uint8)
session.collect(session.submit([picture]))
break_context()
try:
    for _ in range(100):
        session.collect(session.submit([picture]))
except BackendError as error:
    print(error)
session.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("the GPU failed in ")

"""Models that are opened beside one that runs: what the cameras notice of it."""

from __future__ import annotations

import logging
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from daemon.inference import in_flight
from daemon.inference.model_revision import ModelRevision
from daemon.records import Frame, ModelState
from engines.backends import Backend, frame_allocator
from engines.pictures import BgrPicture
from tests.conftest import wait_for
from tests.daemon.managing import Managed, config, frames_coming, managed

_log = logging.getLogger(__name__)
CAMERAS = tuple("abcdefgh")
RATE = 30.0  # frames a second of each
GAP = 0.1 + 1 / RATE  # seconds between two results that nobody minds


def frame(backend: Backend, height: int, width: int) -> NDArray[np.uint8]:
    """A picture as a camera leaves it."""
    allocate = frame_allocator(backend)
    assert allocate is not None
    image = allocate((height, width, 3))
    image[:] = np.random.default_rng(0).integers(0, 256, image.shape, np.uint8)
    return image


def revision(cache: Path, max_batch: int = 8, precision: str = "fp16") -> ModelRevision:
    return ModelRevision.read("default", config(max_batch, {"cache": str(cache)}, precision=precision))


def is_ready(m: Managed, builds: int = 0) -> bool:
    """Whether the model that was asked for last runs."""
    return m.state is ModelState.READY and m.said[-1].detail == "" and len(m.said) > builds


@contextmanager
def running(m: Managed, image: NDArray[np.uint8], cameras: tuple[str, ...] = CAMERAS) -> Iterator[None]:
    with ExitStack() as coming:
        for camera in cameras:
            coming.enter_context(frames_coming(m, camera, RATE, image))
        yield


def worst(m: Managed, since: float, cameras: tuple[str, ...] = CAMERAS) -> float:
    return max(m.longest_gap(camera, since) for camera in cameras)


@pytest.mark.alone
def test_exchanging_a_model_costs_no_camera_a_gap(backend: Backend, tmp_path: Path) -> None:
    """One that has to be built, and one that is there already, each while eight cameras go on."""
    with managed(backend, CAMERAS) as m:
        m.start()
        m.manager.load(revision(tmp_path))
        wait_for(lambda: is_ready(m), "the model", 120)
        with running(m, frame(backend, 1080, 1920)):
            wait_for(lambda: len(m.results) > 500, "the cameras", 60)
            began = time.monotonic()
            time.sleep(2)
            _log.info("%s", f"quiet: {worst(m, began) * 1e3:.0f} ms")
            gaps = []
            for batch, precision in ((4, "fp32"), (8, "fp16"), (4, "fp32")):
                began, said = time.monotonic(), len(m.said)
                m.manager.load(revision(tmp_path, batch, precision))
                wait_for(lambda said=said: is_ready(m, said + 1), "the next model", 120)  # type: ignore[misc]
                time.sleep(1)
                gaps.append(worst(m, began))
                _log.info("%s", f"{batch} {precision}: {gaps[-1] * 1e3:.0f} ms in {time.monotonic() - began:.1f} s")
            assert max(gaps) < GAP
            numbers = [result.sequence for result in m.results if result.camera == "a"]
            assert numbers == sorted(set(numbers))


@pytest.mark.alone
def test_a_camera_of_another_size_costs_the_others_no_gap(backend: Backend, tmp_path: Path) -> None:
    with managed(backend, (*CAMERAS, "new")) as m:
        m.start()
        m.manager.load(revision(tmp_path))
        wait_for(lambda: is_ready(m), "the model", 120)
        with running(m, frame(backend, 1080, 1920)):
            wait_for(lambda: len(m.results) > 500, "the cameras", 60)
            for size in ((720, 1280), (487, 611)):
                began = time.monotonic()
                with running(m, frame(backend, *size), ("new",)):
                    time.sleep(2)
                _log.info("%s", f"{size}: {worst(m, began) * 1e3:.0f} ms")
                assert worst(m, began) < GAP


@contextmanager
def busy(m: Managed, image: NDArray[np.uint8]) -> Iterator[None]:
    """Every camera always has a frame; as of files, so that each waits for room."""
    stop = threading.Event()

    def offer() -> None:
        for sequence in count(1):
            for camera in CAMERAS:
                m.frames.put(
                    Frame(camera, sequence, BgrPicture(image), 0.0, time.monotonic(), None, False, lambda: None)
                )
            if stop.is_set():
                return

    thread = threading.Thread(target=offer)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.mark.alone
def test_what_is_in_flight_is_enough_for_the_whole_gpu(
    backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bounded by time a fast GPU is given as much as with every slot in use, in turns in the same run."""
    rates: dict[float, list[float]] = {in_flight.WORK: [], 1e9: []}
    with managed(backend, CAMERAS) as m:
        m.start()
        m.manager.load(revision(tmp_path))
        wait_for(lambda: is_ready(m), "the model", 120)
        with busy(m, frame(backend, 1080, 1920)):
            wait_for(lambda: len(m.results) > 2000, "the pipeline to be full", 60)
            for work in [*rates] * 8:
                monkeypatch.setattr(in_flight, "WORK", work)
                time.sleep(0.1)
                before, began = len(m.times), time.monotonic()
                time.sleep(0.7)
                rates[work].append((len(m.times) - before) / (time.monotonic() - began))
    bounded, unbounded = map(statistics.median, rates.values())
    _log.info("%s", f"bounded {bounded:.0f}, every slot {unbounded:.0f} frames/s")
    assert bounded > 0.8 * unbounded

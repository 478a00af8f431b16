"""How much is in flight: little where the device is slow, so that the newest frame wins; else every slot."""

from __future__ import annotations

import statistics
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest

from daemon.capture.buffers import Buffers
from daemon.inference.batcher import Batcher
from daemon.inference.frame_queue import FrameQueue
from daemon.inference.in_flight import InFlightLimit
from daemon.inference.worker import InferenceWorker, OpenModel
from daemon.records import Drop, Frame, FrameResult
from daemon.stats import Stats
from engines.pictures import BgrPicture
from engines.records import BatchDetections, Handle
from tests.benchmarks.fairness import SlowSession

CAMERAS = ("a", "b", "c", "d")
IMAGE = BgrPicture(np.zeros((4, 4, 3), np.uint8))


class Device(SlowSession):
    """One batch after the other, whatever is in it; remembers how many were in flight at most."""

    def __init__(self, seconds: float, slots: int) -> None:
        super().__init__(8, seconds, 0.0, slots)
        self.most = 0

    def collect(self, handle: Handle) -> BatchDetections:
        self.most = max(self.most, len(self._pending))
        return super().collect(handle)


@dataclass(frozen=True, slots=True)
class Run:
    """What four cameras of 25 frames a second saw."""

    latency: float
    """seconds from capture to result, median"""
    processed: int
    dropped: Counter[Drop]
    in_flight: int
    """batches at most"""


def run(device: Device, seconds: float) -> Run:
    stats, failures, latencies = Stats(), list[BaseException](), list[float]()
    frames = FrameQueue(Batcher(dict.fromkeys(CAMERAS, "m"), 0.01, 1.0), stats)

    def deliver(results: Sequence[FrameResult], done: Sequence[Frame]) -> None:
        latencies.extend(time.monotonic() - result.captured_mono for result in results)
        for frame in done:
            frame.release()

    inference = InferenceWorker("inference", frames, deliver, stats, failures.append)
    inference.use(OpenModel("m", (), device, lambda: 0.0, lambda session: session.close(), failures.append))
    inference.start()
    stop = threading.Event()

    def capture(camera: str) -> None:
        buffers, sequence = Buffers(device.slots + 2), 0
        while not stop.wait(0.04):
            sequence += 1
            buffer = buffers.take(wait=False)
            if buffer is None:
                stats.dropped(camera, Drop.NO_BUFFER)
            else:
                release = partial(buffers.give, buffer, buffer.ticket)
                frames.put(Frame(camera, sequence, IMAGE, 0.0, time.monotonic(), None, True, release))

    cameras = [threading.Thread(target=capture, args=(camera,)) for camera in CAMERAS]
    for camera in cameras:
        camera.start()
    time.sleep(seconds)
    stop.set()
    for camera in cameras:
        camera.join()
    frames.close()
    inference.stop()
    assert inference.join(20)
    assert failures == []
    dropped = Counter[Drop]()
    for counts in stats.totals(CAMERAS).cameras.values():
        dropped.update(counts.dropped)
    settled = latencies[len(latencies) // 3 :]
    return Run(statistics.median(settled), len(latencies), dropped, device.most)


def test_more_slots_make_no_queue_of_a_slow_device() -> None:
    """100 ms a batch: four slots give what two give, and what is dropped was replaced by a newer frame."""
    two, four = run(Device(0.1, 2), 4.0), run(Device(0.1, 4), 4.0)
    assert four.in_flight == 2
    assert four.latency < 1.25 * two.latency
    assert four.processed > 0.8 * two.processed
    assert four.dropped[Drop.REPLACED] > 0
    assert four.dropped[Drop.NO_BUFFER] == 0


def test_frames_are_replaced_rather_than_queued_behind_a_slow_consumer() -> None:
    """While too many results wait elsewhere no batch is started, and then the newest frame is what is taken."""
    stats, failures, seen, waiting = Stats(), list[BaseException](), list[int](), [1000]
    frames = FrameQueue(Batcher({"a": "m"}, 0.0, 1e9), stats)
    done = threading.Event()

    def deliver(results: Sequence[FrameResult], _: Sequence[Frame]) -> None:
        seen.extend(result.sequence for result in results)
        done.set()

    inference = InferenceWorker("inference", frames, deliver, stats, failures.append, lambda: waiting[0])
    device = Device(0.0, 2)
    inference.use(OpenModel("m", (), device, lambda: 0.0, lambda session: session.close(), failures.append))
    inference.start()
    for sequence in range(1, 51):
        frames.put(Frame("a", sequence, IMAGE, 0.0, time.monotonic(), None, True, lambda: None))
        time.sleep(0.002)
    before, waiting[0] = list(seen), 0
    assert done.wait(20)
    frames.close()
    inference.stop()
    assert inference.join(20)
    assert failures == []
    assert before == []
    assert seen == [50]


@pytest.mark.parametrize(("milliseconds", "batches"), [(1, 4), (9, 4), (13, 3), (19, 2), (25, 2), (100, 2), (3000, 2)])
def test_as_much_as_40_ms_of_work_and_two_batches_at_least(milliseconds: float, batches: int) -> None:
    limit = InFlightLimit(4)
    assert limit.batches == 2
    now = 100.0
    for _ in range(20):
        limit.finished(now, now := now + milliseconds / 1e3)
    assert limit.batches == batches


def test_a_batch_that_waits_behind_another_is_not_slow() -> None:
    limit = InFlightLimit(4)
    for number in range(20):  # each submitted 30 ms before it is done, of which it computes 5 ms
        limit.finished(1.0 + number * 0.005 - 0.025, 1.0 + number * 0.005 + 0.005)
    assert limit.batches == 4


def test_a_single_slow_batch_changes_nothing() -> None:
    limit = InFlightLimit(4)
    now = 1.0
    for milliseconds in (5, 5, 5, 5, 900, 5):
        limit.finished(now, now := now + milliseconds / 1e3)
    assert limit.batches == 4


def test_never_more_than_there_are_slots() -> None:
    limit = InFlightLimit(1)
    assert limit.batches == 1
    limit.finished(1.0, 1.001)
    assert limit.batches == 1

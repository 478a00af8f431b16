"""The frame queue between capture and inference: drops counted, buffers given back, waiters woken."""

from __future__ import annotations

import threading
import time
from collections import Counter

import numpy as np
import pytest

from daemon.inference.batcher import Batcher
from daemon.inference.frame_queue import FrameQueue
from daemon.records import Drop, Frame
from daemon.stats import Stats
from daemon.system.credits import Credits
from engines.pictures import BgrPicture
from tests.conftest import wait_for


class Frames:
    """Makes frames and sees which came back."""

    def __init__(self, live: bool) -> None:
        self.live = live
        self.released: Counter[int] = Counter()

    def make(self, sequence: int, at: float, camera: str = "a") -> Frame:
        def release() -> None:
            self.released[sequence] += 1

        return Frame(camera, sequence, BgrPicture(np.zeros((2, 2, 3), np.uint8)), 0.0, at, None, self.live, release)


@pytest.fixture
def stats() -> Stats:
    return Stats()


def frame_queue(stats: Stats, max_age: float = 1e9, ready: bool = True) -> FrameQueue:
    made = FrameQueue(Batcher({"a": "m", "b": "m"}, 0.01, max_age), stats)
    if ready:
        made.ready("m", 2)
    return made


def put_all(h: FrameQueue, frames: Frames, count: int) -> None:
    for sequence in range(1, count + 1):
        h.put(frames.make(sequence, sequence * 1e-3))


def test_replaced_frames_are_released_and_counted(stats: Stats) -> None:
    frames, h = Frames(live=True), frame_queue(stats)
    for sequence in (1, 2, 3):
        h.put(frames.make(sequence, 0.0))
    batch = h.take(1.0)
    assert batch is not None
    assert [f.sequence for f in batch.frames] == [3]
    assert frames.released == {1: 1, 2: 1}
    assert stats.report(("a",)).cameras["a"].dropped == {Drop.REPLACED: 2}


def test_frames_too_old_are_released_and_counted(stats: Stats) -> None:
    frames, h = Frames(live=True), frame_queue(stats, max_age=0.001)
    h.put(frames.make(1, 0.0))
    assert h.take(0.0) is None
    assert frames.released == {1: 1}
    assert stats.report(("a",)).cameras["a"].dropped == {Drop.TOO_OLD: 1}


def test_a_file_waits_for_room_and_loses_nothing(stats: Stats) -> None:
    frames, h = Frames(live=False), frame_queue(stats)
    reader = threading.Thread(target=put_all, args=(h, frames, 50))
    reader.start()
    taken: list[int] = []
    while len(taken) < 50:
        batch = h.take(5.0)
        assert batch is not None
        taken += [f.sequence for f in batch.frames]
    reader.join(5)
    assert taken == list(range(1, 51))
    assert not frames.released


def test_close_wakes_a_waiting_reader_and_a_waiting_taker(stats: Stats) -> None:
    frames, h = Frames(live=False), frame_queue(stats)
    reader = threading.Thread(target=put_all, args=(h, frames, 3))
    reader.start()
    wait_for(lambda: h.waiting() == 2, "the queue to be full")
    h.close()
    reader.join(5)
    assert not reader.is_alive()
    assert frames.released == {1: 1, 2: 1, 3: 1}
    assert h.take(60.0) is None


def test_take_returns_when_a_frame_becomes_due(stats: Stats) -> None:
    frames, h = Frames(live=True), frame_queue(stats)
    got: list[object] = []
    taker = threading.Thread(target=lambda: got.append(h.take(30.0)))
    taker.start()
    h.put(frames.make(1, 0.0))
    taker.join(5)
    assert got[0] is not None


def test_waiting_for_a_model_is_not_overload(stats: Stats) -> None:
    """What is dropped meanwhile is counted under a reason of its own."""
    frames, h = Frames(live=True), frame_queue(stats, max_age=0.001, ready=False)
    for sequence in (1, 2, 3):
        h.put(frames.make(sequence, 0.0))
    assert h.take(0.0) is None
    assert frames.released == {1: 1, 2: 1, 3: 1}
    assert stats.report(("a",)).cameras["a"].dropped == {Drop.NO_MODEL: 3}


def test_a_file_that_waits_for_its_model_loses_nothing(stats: Stats) -> None:
    frames, h = Frames(live=False), frame_queue(stats, ready=False)
    reader = threading.Thread(target=put_all, args=(h, frames, 6))
    reader.start()
    wait_for(lambda: h.waiting() == 1, "the queue to be full")
    h.ready("m", 2)
    taken: list[int] = []
    while len(taken) < 6:
        batch = h.take(5.0)
        assert batch is not None
        taken += [f.sequence for f in batch.frames]
    reader.join(5)
    assert taken == [1, 2, 3, 4, 5, 6]


def test_a_model_that_fails_lets_a_waiting_reader_go(stats: Stats) -> None:
    frames, h = Frames(live=False), frame_queue(stats, ready=False)
    reader = threading.Thread(target=put_all, args=(h, frames, 3))
    reader.start()
    wait_for(lambda: h.waiting() == 1, "the queue to be full")
    h.refuse("m")
    reader.join(5)
    assert not reader.is_alive()
    assert frames.released == {1: 1, 2: 1, 3: 1}
    assert stats.report(("a",)).cameras["a"].dropped == {Drop.NO_MODEL: 3}


def test_frames_of_a_camera_that_is_no_more_are_released_but_not_counted(stats: Stats) -> None:
    frames, h = Frames(live=True), frame_queue(stats)
    h.put(frames.make(1, 0.0))
    h.remove_camera("a")
    h.put(frames.make(2, 0.0))  # its thread hung meanwhile
    assert frames.released == {1: 1, 2: 1}
    assert h.take(0.0) is None
    assert stats.report(("a",)).cameras["a"].dropped == {}
    h.set_camera("a", "m", 1.0)
    h.put(frames.make(3, 0.0))
    batch = h.take(1.0)
    assert batch is not None
    assert [f.sequence for f in batch.frames] == [3]


def test_a_file_that_waits_for_room_ends_where_its_camera_is_replaced(stats: Stats) -> None:
    """Also where the next camera of its name is there before it has looked."""
    frames, h = Frames(live=False), frame_queue(stats)
    wanted, asked = [True], threading.Event()
    for sequence in (1, 2):
        h.put(frames.make(sequence, 0.0))

    def is_wanted() -> bool:
        asked.set()  # with the queue's lock, which is free again when the reader waits
        return wanted[0]

    reader = threading.Thread(target=lambda: h.put(frames.make(3, 0.0), is_wanted))
    reader.start()
    assert asked.wait(20)
    wanted[0] = False
    h.remove_camera("a")
    h.set_camera("a", "m", 1.0)
    reader.join(20.0)
    assert not reader.is_alive()
    assert frames.released == {1: 1, 2: 1, 3: 1}
    assert h.waiting() == 0


def test_a_frame_waits_for_a_model_that_is_expected_again(stats: Stats) -> None:
    frames, h = Frames(live=True), frame_queue(stats)
    h.refuse("m")
    h.put(frames.make(1, 0.0))
    h.expect("m")
    h.put(frames.make(2, 0.0))
    assert frames.released == {1: 1}
    h.ready("m", 2)
    batch = h.take(1.0)
    assert batch is not None
    assert [f.sequence for f in batch.frames] == [2]


def test_a_sleeping_taker_follows_new_times(stats: Stats) -> None:
    frames, h = Frames(live=True), FrameQueue(Batcher({"a": "m", "b": "m"}, 1e6, 1e9), stats)
    h.ready("m", 2)
    got: list[object] = []
    now = time.monotonic()
    for camera in "ab":
        h.put(frames.make(1, now, camera))
    assert h.take(0.0) is not None
    h.put(frames.make(2, now, "a"))
    taker = threading.Thread(target=lambda: got.append(h.take(60.0)))
    taker.start()
    h.limit(0.0, 1e9)
    taker.join(20.0)
    assert got
    assert got[0] is not None


def test_a_batch_that_its_model_fails_on_gives_its_credits_back(stats: Stats) -> None:
    """Else files would stand still for ever after a model has failed on as many frames as there are credits."""
    credit = Credits(2)
    credit.consumer("publish")
    h = FrameQueue(Batcher({"a": "m"}, 0.0, 1e9, credit=credit), stats)
    h.ready("m", 2)
    frames = Frames(live=False)
    for _ in range(3):
        put_all(h, frames, 2)
        batch = h.take(1.0)
        assert batch is not None
        assert credit.room() == 0
        h.drop_taken(batch.frames)
        assert credit.room() == 2
    assert frames.released == {1: 3, 2: 3}
    assert stats.totals(["a"]).cameras["a"].dropped == {Drop.NO_MODEL: 6}

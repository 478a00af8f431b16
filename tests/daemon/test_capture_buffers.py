"""Frame buffers: where pictures lie, what happens when none is free, and what is freed."""

from __future__ import annotations

import os
import queue
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from daemon.capture.buffers import Buffer, Buffers, FrameMemory
from daemon.records import CameraState, Drop, Frame, Reason
from tests.conftest import wait_for
from tests.daemon.capturing import Image, capture_threads, capturing, pictures, read_video, write_video

FAST: dict[str, Any] = {"pace": "as-fast-as-possible"}


@pytest.mark.parametrize("kind", ["video", "folder"])
def test_frames_lie_in_the_allocated_memory(tmp_path: Path, kind: str) -> None:
    """At most four pictures are in flight, so no more are allocated, and none is decoded elsewhere."""
    allocated: list[Image] = []

    def allocate(shape: tuple[int, ...]) -> Image:
        allocated.append(np.empty(shape, np.uint8))
        return allocated[-1]

    images = pictures(12)
    if kind == "video":
        source = write_video(tmp_path / "a.avi", images)
        wanted = read_video(source)
    else:
        source, wanted = tmp_path, images
        for index, image in enumerate(images):
            cv2.imwrite(str(tmp_path / f"{index:02}.png"), image)
    seen: list[tuple[bool, bool]] = []

    def consume(frame: Frame) -> None:
        given = any(frame.image.host() is memory for memory in allocated)
        seen.append((given, np.array_equal(frame.image.host(), wanted[len(seen)])))
        frame.release()

    with capturing(source, consume=consume, memory=FrameMemory(allocate=allocate), pace="as-fast-as-possible"):
        wait_for(lambda: len(seen) == 12, "every frame")
    assert set(seen) == {(True, True)}
    assert len(allocated) <= 4


def test_as_fast_as_possible_waits_for_a_slow_consumer(tmp_path: Path) -> None:
    """The consumer holds several frames; none is lost, repeated or overwritten meanwhile."""
    video = write_video(tmp_path / "video.avi", pictures(60))
    waiting: queue.Queue[Frame | None] = queue.Queue()
    seen: list[Image] = []

    def work() -> None:
        while (frame := waiting.get()) is not None:
            threading.Event().wait(0.002)
            seen.append(frame.image.host().copy())
            frame.release()

    worker = threading.Thread(target=work)
    worker.start()
    with capturing(video, consume=waiting.put, **FAST) as captured:
        captured.wait_for_state(CameraState.OFFLINE, Reason.ENDED)
    waiting.put(None)
    worker.join()
    assert all(np.array_equal(got, want) for got, want in zip(seen, read_video(video), strict=True))
    assert not any(frame.live for frame in captured.frames)
    assert captured.dropped(Drop.NO_BUFFER) == 0


def test_realtime_counts_frames_without_a_buffer(tmp_path: Path) -> None:
    video = write_video(tmp_path / "video.avi", pictures(12), fps=100.0)
    with capturing(video, consume=lambda _: None) as captured:
        captured.wait_for_state(CameraState.OFFLINE, Reason.ENDED)
    assert [frame.sequence for frame in captured.frames] == [1, 2, 3, 4]
    stats = captured.stats.report(("cam",)).cameras["cam"]
    assert (stats.captured, stats.dropped) == (12, {Drop.NO_BUFFER: 8})


def test_stop_ends_waiting_for_a_buffer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.capture.camera._RECORDED_BYTES", 0)
    video = write_video(tmp_path / "video.avi", pictures(12))
    with capturing(video, consume=lambda _: None, **FAST) as captured:
        captured.wait_for_frames(4)
    assert len(captured.frames) == 4
    assert captured.states() == [(CameraState.CONNECTING, None), (CameraState.STREAMING, None)]


def test_pictures_are_freed_when_a_camera_goes_away() -> None:
    buffers = Buffers(2)
    lent, kept = buffers.take(wait=False), buffers.take(wait=False)
    assert lent
    assert kept
    assert buffers.take(wait=False) is None
    lent.image = kept.image = np.zeros((1, 1, 3), np.uint8)
    buffers.give(kept, kept.ticket)
    buffers.drop_memory()
    buffers.give(lent, lent.ticket)
    assert [buffer.image for buffer in (lent, kept)] == [None, None]
    with pytest.raises(RuntimeError, match=r"^a frame was released twice$"):
        buffers.give(lent, lent.ticket)


def test_small_pictures_get_more_buffers_within_max_bytes() -> None:
    buffers = Buffers(2, most_bytes=60)

    def take(size: int) -> Buffer | None:
        if buffer := buffers.take(wait=False):
            buffer.image = np.zeros((size, 1, 1), np.uint8)
        return buffer

    lent = [take(10) for _ in range(7)]
    assert [buffer is None for buffer in lent] == [False] * 6 + [True]
    for buffer in filter(None, lent):
        buffers.give(buffer, buffer.ticket)
    lent = [take(size) for size in (10, 10, 10, 20)]
    assert take(20) is None
    for buffer in filter(None, lent):
        buffers.give(buffer, buffer.ticket)
    assert len(buffers._free) == 3, "of pictures of 20 bytes there is room for three"


@pytest.mark.usefixtures("decoder")
def test_opening_and_closing_leaks_nothing(tmp_path: Path) -> None:
    video = write_video(tmp_path / "video.avi", pictures(2, 320, 240))

    def cycle() -> None:
        with capturing(video, loop=True, **FAST) as captured:
            captured.wait_for_frames(3)

    for _ in range(20):
        cycle()
    before, files = _resident_bytes(), _open_files()
    for _ in range(200):
        cycle()
    assert capture_threads() == []
    assert _open_files() - files < 20, (
        "a leak would be one or more for each of 200; others in this process close theirs"
    )
    assert _resident_bytes() - before < 40e6, "200 cameras of 0.9 MB each came and went"


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

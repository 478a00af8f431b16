"""Shares of cameras, through the daemon's own threads, on a model that is too slow for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.inference.batcher import Batcher
from daemon.inference.frame_queue import FrameQueue
from daemon.stats import Stats
from tests.benchmarks.fairness import SlowSession, measure
from tests.daemon.capturing import capturing, pictures, write_video


@pytest.mark.parametrize(("max_batch", "seconds_batch", "seconds_picture"), [(4, 0.1, 0.0), (4, 0.0, 0.015)])
def test_each_camera_gets_its_share(max_batch: int, seconds_batch: float, seconds_picture: float) -> None:
    """Of what the cameras have really offered and the model has really done, so a busy machine changes nothing."""
    shares = measure(SlowSession(max_batch, seconds_batch, seconds_picture), 5.0)
    assert {camera: share.got for camera, share in shares.items()} == pytest.approx(
        {camera: share.ideal for camera, share in shares.items()}, rel=0.15
    )
    fast = shares["fast"]
    assert fast.dropped.keys() == {"replaced"}
    assert fast.dropped["replaced"] / 5.0 == pytest.approx(fast.offered - fast.got, rel=0.1)


def test_one_file_fills_the_batches_that_wait_and_that_are_on_their_way(tmp_path: Path) -> None:
    frame_queue = FrameQueue(Batcher({"cam": "m"}, 0.01, 1.0), Stats())
    frame_queue.ready("m", 8)
    video = write_video(tmp_path / "video.avi", pictures(40))
    with capturing(video, consume=frame_queue.put, pace="as-fast-as-possible") as captured:
        sizes = []
        for batches in (1, 2, 3):
            captured.wait_for_frames(8 * batches + 1)  # the last one waits for room
            batch = frame_queue.take(0.0)
            sizes.append(len(batch.frames) if batch else 0)
        frame_queue.close()
    assert sizes == [8, 8, 8]

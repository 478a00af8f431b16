"""Shares of cameras, through the daemon's own threads, on a model that is too slow for them."""

from __future__ import annotations

import pytest

from tests.benchmarks.fairness import SlowLane, measure


@pytest.mark.parametrize(("max_batch", "seconds_batch", "seconds_picture"), [(4, 0.1, 0.0), (4, 0.0, 0.015)])
def test_each_camera_gets_its_share(max_batch: int, seconds_batch: float, seconds_picture: float) -> None:
    shares = measure(SlowLane(max_batch, seconds_batch, seconds_picture), 5.0)
    assert {camera: share.got for camera, share in shares.items()} == pytest.approx(
        {camera: share.ideal for camera, share in shares.items()}, rel=0.1
    )
    fast = shares["fast"]
    assert fast.dropped.keys() == {"replaced"}
    assert fast.dropped["replaced"] / 5.0 == pytest.approx(fast.offered - fast.got, abs=2.0)

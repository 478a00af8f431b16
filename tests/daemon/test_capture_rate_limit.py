"""The `fps` limit: which frames are captured."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.capture.rate_limit import RateLimiter
from daemon.records import CameraState, Reason
from tests.daemon.capturing import capturing, pictures, read_video, write_video


def admitted(fps: float | None, times: list[float]) -> list[int]:
    """Indices of the frames of these times that are admitted."""
    limiter = RateLimiter(fps)
    return [index for index, at in enumerate(times) if limiter.admits(at)]


def test_every_frame_is_admitted_without_a_limit() -> None:
    assert admitted(None, [0.0, 0.0, 0.04, 5.0, 1.0]) == [0, 1, 2, 3, 4]


def test_frames_are_evenly_spaced_when_rates_do_not_divide() -> None:
    assert admitted(10, [n / 25 for n in range(26)]) == [0, 3, 5, 8, 10, 13, 15, 18, 20, 23, 25]
    assert admitted(24, [n / 25 for n in range(76)]) == [0, *range(2, 26), *range(27, 51), *range(52, 76)]


@pytest.mark.parametrize("source", [5.0, 12.5, 25.0, 29.97, 60.0])
@pytest.mark.parametrize("fps", [0.3, 1.0, 7.0, 10.0, 24.0, 25.0, 30.0, 59.0])
def test_the_rate_is_exact_over_time(source: float, fps: float) -> None:
    seconds = 1000
    count = len(admitted(fps, [n / source for n in range(int(source * seconds))]))
    assert count == pytest.approx(min(source, fps) * seconds, abs=2)


@given(st.integers(0, 2**32), st.sampled_from([5.0, 10.0, 20.0, 25.0, 40.0]))
def test_irregular_frames_are_limited_to_the_same_rate(seed: int, fps: float) -> None:
    random = Random(seed)
    times = [n / 25 + random.uniform(-0.015, 0.015) for n in range(500)]
    indices = admitted(fps, times)
    assert len(indices) == pytest.approx(min(25.0, fps) * 20, abs=2)
    gaps = [b - a for a, b in pairwise(indices)]
    assert max(gaps) <= 25 / fps + 2


def test_a_gap_is_not_made_up_for() -> None:
    times = [n / 25 for n in range(25)] + [10 + n / 25 for n in range(25)]
    assert len(admitted(5, times)) <= 5 + 5 + 2
    assert len(admitted(5, [100 + at for at in times[:25]] + times[:25])) == 10


@pytest.mark.parametrize(("pace", "fps"), [("realtime", 20.0), ("as-fast-as-possible", 20.0)])
def test_a_file_is_limited_by_its_own_clock(tmp_path: Path, pace: str, fps: float) -> None:
    """Skipped frames are neither counted nor converted, and leave no gaps in the sequence numbers."""
    video = write_video(tmp_path / "video.avi", pictures(40), fps=50.0)
    with capturing(video, keep_images=True, pace=pace, fps=fps) as captured:
        captured.wait_for_state(CameraState.OFFLINE, Reason.ENDED)
    whole = read_video(video)
    wanted = [0, 3, 5, 8, 10, 13, 15, 18, 20, 23, 25, 28, 30, 33, 35, 38]
    assert [round((frame.stream_time or 0) * 50) for frame in captured.frames] == wanted
    assert [frame.sequence for frame in captured.frames] == list(range(1, 17))
    assert all((got == whole[index]).all() for got, index in zip(captured.images, wanted, strict=True))
    assert captured.stats.report(("cam",)).cameras["cam"].captured == 16

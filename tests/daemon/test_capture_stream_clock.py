"""Time stamps are advice: whatever they say, a stream is not thinned, and frames that were held back are dropped."""

from __future__ import annotations

import random
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.capture.sources.stream_clock import StreamClock
from daemon.records import CameraState, Drop
from tests.daemon.capturing import capturing
from tests.servers.quirky_rtsp import QuirkyRtsp, Stamp

_DECODING = 0.002  # seconds
_HOURS = 9800.0  # seconds


def _scattered(period: float, by: float) -> Stamp:
    return lambda number, _: number * period + random.Random(number).uniform(-by, by)


def _stamps(fps: float) -> dict[str, Stamp]:
    """Ways of stamping frames that come `fps` times a second, and nothing else about them."""
    period = 1 / fps
    return {
        "right": lambda number, _: number * period,
        "always 25 a second": lambda number, _: number / 25,
        "constant": lambda *_: 0.0,
        "half": lambda number, _: number * period / 2,
        "double": lambda number, _: number * period * 2,
        "jitter": _scattered(period, 0.5),
        "little jitter": _scattered(period, 0.1),
        "whole seconds": lambda number, _: float(int(number * period)),
        "backwards": lambda number, _: -number * period,
        "starts over": lambda number, _: number % 30 * period,
        "hours late": lambda number, _: number * period - (_HOURS if number % 20 == 19 else 0),
        "hours early": lambda number, _: number * period + (_HOURS if number % 20 == 19 else 0),
        "slower later": lambda number, _: min(number, 40) * period + max(0, number - 40) / 25,
    }


def _held_back(arrivals: list[float], stamps: list[float], opening: float) -> list[bool]:
    clock, last, answers = StreamClock(opening), 0.0, []
    for at, stamp in zip(arrivals, stamps, strict=True):
        answers.append(clock.held_back(at, at - last, stamp))
        last = at
    return answers


def test_frames_of_a_camera_whose_clock_stops_are_not_held_back() -> None:
    arrivals = [number / 2 for number in range(1, 40)]
    held = _held_back(arrivals, [min(at, 6.0) for at in arrivals], opening=0.0)
    assert not any(held)


def test_stamps_that_raise_false_alarms_are_believed_less_after_each() -> None:
    arrivals = [number / 2 for number in range(1, 300)]
    stamps = [at - (0.4 if number % 7 == 6 else 0.0) for number, at in enumerate(arrivals)]
    assert sum(_held_back(arrivals, stamps, opening=0.0)) <= 3


@pytest.mark.parametrize("fps", [0.5, 1.0, 2.0, 5.0, 12.5, 25.0])
@pytest.mark.parametrize("name", _stamps(1.0))
def test_a_steady_stream_loses_next_to_nothing_however_it_is_stamped(name: str, fps: float) -> None:
    stamp, opening = _stamps(fps)[name], 1.2
    arrivals = [(number + 1) / fps for number in range(300)]
    held = _held_back(arrivals, [stamp(number, at) for number, at in enumerate(arrivals)], opening)
    assert sum(held) <= 3 + opening * fps
    assert sum(held[-100:]) <= 1


@given(
    steps=st.lists(
        st.one_of(st.floats(-2, 2), st.sampled_from([0.0, 0.04, 0.1, 0.5, 1.0, -_HOURS, _HOURS])),
        min_size=100,
        max_size=200,
    ),
    period=st.floats(0.02, 2.0),
    opening=st.floats(0.0, 5.0),
)
def test_no_time_stamps_thin_a_steady_stream(steps: list[float], period: float, opening: float) -> None:
    arrivals = [(number + 1) * period for number in range(len(steps))]
    stamps = [sum(steps[: number + 1]) for number in range(len(steps))]
    held = _held_back(arrivals, stamps, opening)
    assert sum(held) <= 3 + opening / period + len(steps) // 10


@given(
    fps=st.floats(2.0, 60.0),
    silence=st.floats(0.5, 8.0),
    before=st.integers(40, 200),
    delays=st.lists(st.floats(0.0, 0.06), min_size=1, max_size=50),
)
def test_frames_held_back_by_a_network_are_dropped(
    fps: float, silence: float, before: int, delays: list[float]
) -> None:
    """True stamps: no frame that is used is older than the limit, and none in time is dropped."""
    stop = before / fps
    arrivals: list[float] = []
    stamps = [number / fps for number in range(before + round((silence + 5) * fps))]
    for number, stamp in enumerate(stamps):
        at = stamp + delays[number % len(delays)]
        at = stop + silence if stop <= at < stop + silence else at
        arrivals.append(max(at, arrivals[-1] + _DECODING if arrivals else 0.0))
    ages = [at - stamp for at, stamp in zip(arrivals, stamps, strict=True)]
    held = _held_back(arrivals, stamps, 0.0)
    assert max(age for age, dropped in zip(ages, held, strict=True) if not dropped) < 0.3 + 0.07
    assert all(age > 0.2 for age, dropped in zip(ages, held, strict=True) if dropped)


def test_every_frame_of_a_camera_is_delivered_or_counted() -> None:
    streams = [(2.0, 0.0, _stamps(2.0)[name]) for name in ("always 25 a second", "constant", "backwards")]
    streams += [(10.0, 0.0, _stamps(10.0)[name]) for name in ("right", "jitter", "hours late", "starts over", "double")]
    streams += [(10.0, 1.0, _stamps(10.0)["right"])]
    with ExitStack() as stack:
        servers = [stack.enter_context(QuirkyRtsp(fps=fps, stamp=stamp, burst=burst)) for fps, burst, stamp in streams]
        cameras = [stack.enter_context(capturing(server.url())) for server in servers]
        for (fps, burst, _), server, captured in zip(streams, servers, cameras, strict=True):
            captured.wait_for_frames(round(fps * 4))
            sent, on_the_way = server.sent, 2 + fps * (burst + 1)
            report = captured.stats.report(("cam",)).cameras["cam"]
            delivered, held_back = len(captured.frames), captured.dropped(Drop.HELD_BACK)
            assert report.captured == pytest.approx(delivered + held_back, abs=1)
            assert held_back <= 3 + fps
            assert sent - report.captured <= on_the_way
            assert captured.states() == [(CameraState.CONNECTING, None), (CameraState.STREAMING, None)]

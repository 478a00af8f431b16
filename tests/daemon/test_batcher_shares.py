"""Which camera is next when models are too slow: shares, priorities, nobody starves."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.inference.batcher import Batcher
from tests.benchmarks.fairness import CAMERAS, ideal_shares
from tests.daemon.batching import batcher, frame


def simulated(
    rates: dict[str, float],
    priority: dict[str, float],
    max_batch: int,
    seconds_picture: float,
    model_of: dict[str, str] | None = None,
) -> dict[str, int]:
    """Frames that each camera got through in 100 s, on models that share one GPU."""
    models = model_of or dict.fromkeys(rates, "m")
    b = Batcher(models, 0.01, 1.0, priority)
    for model in set(models.values()):
        b.ready(model, max_batch)
    events = sorted((k / rate, camera, k) for camera, rate in rates.items() for k in range(int(rate * 100)))
    done, now, at = dict.fromkeys(rates, 0), 0.0, 0
    while at < len(events):
        while at < len(events) and events[at][0] <= now:
            b.offer(frame(events[at][1], events[at][2], events[at][0]))
            at += 1
        b.expired(now)
        batch = b.take(now)
        if batch is None:
            now = min([now + 0.01, *([events[at][0]] if at < len(events) else [])])
            continue
        for f in batch.frames:
            done[f.camera] += 1
        now += seconds_picture * len(batch.frames)
    return done


@pytest.mark.parametrize("max_batch", [1, 2, 4, 8])
@pytest.mark.parametrize("capacity", [20, 40, 70, 110, 200])
def test_cameras_of_different_rates_get_their_shares(capacity: float, max_batch: int) -> None:
    got = simulated(CAMERAS, {}, max_batch, 1 / capacity)
    ideal = ideal_shares(CAMERAS, sum(got.values()) / 100, dict.fromkeys(CAMERAS, 1.0))
    assert {c: count / 100 for c, count in got.items()} == pytest.approx(ideal, rel=0.1)


def test_priority_divides_what_is_scarce() -> None:
    rates = dict.fromkeys("abcdef", 30.0)
    got = simulated(rates, {"a": 4.0, "b": 2.0}, 2, 1 / 40)
    assert got["a"] / got["c"] == pytest.approx(4.0, rel=0.05)
    assert got["b"] / got["c"] == pytest.approx(2.0, rel=0.05)
    assert got["c"] == pytest.approx(got["f"], rel=0.05)
    assert simulated(rates, {"a": 4.0}, 2, 1 / 400) == pytest.approx(dict.fromkeys(rates, 3000), rel=0.01)


def test_a_model_does_not_starve_another() -> None:
    """The frame of a fast camera is always the youngest, so going by age alone would never give it a turn."""
    rates = {"fast": 60.0, **{f"slow-{n}": 5.0 for n in range(8)}}
    got = simulated(rates, {}, 4, 1 / 20, {camera: camera[:4] for camera in rates})
    assert {camera: count / 100 for camera, count in got.items()} == pytest.approx(
        dict.fromkeys(rates, 20 / 9), rel=0.1
    )


def test_a_camera_that_was_away_does_not_catch_up() -> None:
    b = batcher("ab", max_batch=1, max_delay=0.0)
    for sequence in range(1, 11):
        b.offer(frame("a", sequence, sequence))
        b.take(sequence)
    turns = ""
    for sequence in range(11, 17):
        b.offer(frame("a", sequence, sequence))
        b.offer(frame("b", sequence, sequence))
        batch = b.take(sequence)
        assert batch
        turns += batch.frames[0].camera
    assert turns == "bababa"


@given(
    arrivals=st.lists(st.tuples(st.sampled_from("abcdef"), st.floats(0.0, 0.01)), min_size=1, max_size=300),
    priorities=st.lists(st.sampled_from([0.5, 1.0, 2.0, 5.0]), min_size=6, max_size=6),
    max_batch=st.integers(1, 3),
    every=st.integers(2, 12),
)
def test_nobody_starves(arrivals: list[tuple[str, float]], priorities: list[float], max_batch: int, every: int) -> None:
    """While one frame waits, another camera gets one turn more at most than their priorities allow it."""
    priority = dict(zip("abcdef", priorities, strict=True))
    b = Batcher(dict.fromkeys("abcdef", "m"), 0.0, 1e9, priority)
    b.ready("m", max_batch)
    overtaken: dict[str, Counter[str]] = {}
    """of each camera that waits, how often each other was served since"""
    now = 0.0
    for sequence, (camera, gap) in enumerate(arrivals, start=1):
        now += gap
        b.offer(frame(camera, sequence, now))
        overtaken.setdefault(camera, Counter())
        batch = b.take(now) if sequence % every == 0 else None
        for served in batch.frames if batch else ():
            del overtaken[served.camera]
            for waiting, others in overtaken.items():
                others[served.camera] += 1
                assert others[served.camera] <= priority[served.camera] / priority[waiting] + 1

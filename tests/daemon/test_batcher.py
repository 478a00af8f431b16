"""Batching as a pure function of arrivals and time."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.inference.batcher import Batcher
from daemon.records import Frame
from daemon.system.credits import Credits
from tests.benchmarks.fairness import CAMERAS, ideal_shares


def frame(camera: str, sequence: int, at: float, live: bool = True) -> Frame:
    return Frame(camera, sequence, np.zeros((2, 2, 3), np.uint8), 0.0, at, None, live, lambda: None)


def batcher(
    cameras: str = "abcd", max_batch: int = 4, max_delay: float = 0.1, max_age: float = 1.0, model_of: str = ""
) -> Batcher:
    models = dict(zip(cameras, model_of or "m" * len(cameras), strict=True))
    b = Batcher(models, max_delay, max_age)
    for model in set(models.values()):
        b.ready(model, max_batch)
    return b


def names(frames: tuple[Frame, ...]) -> str:
    return " ".join(f"{f.camera}{f.sequence}" for f in frames)


def test_the_newest_live_frame_replaces_the_one_before() -> None:
    b = batcher()
    first, second = frame("a", 1, 0.0), frame("a", 2, 0.1)
    assert b.offer(first) is None
    assert b.offer(second) is first
    batch = b.take(0.1)
    assert batch is not None
    assert names(batch.frames) == "a2"


def test_a_file_read_as_fast_as_possible_loses_nothing_and_fills_batches() -> None:
    b = batcher(max_batch=3)
    for sequence in (1, 2, 3):
        f = frame("a", sequence, sequence * 0.001, live=False)
        assert b.has_room(f)
        assert b.offer(f) is None
    assert not b.has_room(frame("a", 4, 0.004, live=False))
    batch = b.take(0.004)
    assert batch is not None
    assert names(batch.frames) == "a1 a2 a3"
    assert b.expired(99.0) == []


def test_files_wait_for_credit_and_delay_no_live_camera() -> None:
    credit = Credits(limit=3)
    done = credit.consumer("publish")
    b = Batcher(dict.fromkeys("af", "m"), max_delay=0.1, max_age=1.0, credit=credit)
    b.ready("m", 2)
    for sequence in (1, 2):
        b.offer(frame("f", sequence, 0.0, live=False))
    taken = b.take(0.0)
    assert taken is not None
    assert names(taken.frames) == "f1 f2"
    b.offer(frame("f", 3, 0.01, live=False))
    b.offer(frame("f", 4, 0.01, live=False))
    taken = b.take(0.01)
    assert taken is not None
    assert names(taken.frames) == "f3", "one credit was left"
    assert b.due_at(0.02) is None
    b.offer(frame("a", 1, 0.03))
    assert b.due_at(0.03) == 0.03, "a camera that is held back is not waited for"
    taken = b.take(0.03)
    assert taken is not None
    assert names(taken.frames) == "a1"
    done()
    taken = b.take(0.2)
    assert taken is not None
    assert names(taken.frames) == "f4"


def test_a_batch_leaves_oldest_first() -> None:
    b = batcher()
    for camera, at in (("c", 0.02), ("a", 0.03), ("b", 0.01)):
        b.offer(frame(camera, 1, at))
    batch = b.take(0.03)
    assert batch is not None
    assert names(batch.frames) == "b1 c1 a1"


def test_the_only_camera_that_delivers_does_not_wait_for_others() -> None:
    b = batcher()
    b.offer(frame("a", 1, 5.0))
    assert b.due_at(5.0) == 5.0


def test_waits_for_cameras_that_deliver_but_not_longer_than_max_delay() -> None:
    b = batcher()
    for camera in "ab":
        b.offer(frame(camera, 1, 0.0))
    assert b.take(0.0) is not None
    b.offer(frame("a", 2, 0.2))
    assert b.due_at(0.2) == 0.2 + 0.1
    assert b.take(0.25) is None
    batch = b.take(0.31)
    assert batch is not None
    assert names(batch.frames) == "a2"


def test_does_not_wait_for_a_camera_that_has_gone() -> None:
    b = batcher()
    for camera in "ab":
        b.offer(frame(camera, 1, 0.0))
    b.take(0.0)
    b.offer(frame("a", 2, 3.0))
    assert b.due_at(3.0) == 3.0


def test_live_frames_older_than_max_age_expire() -> None:
    b = batcher()
    old, young = frame("a", 1, 0.0), frame("b", 1, 0.5)
    b.offer(old)
    b.offer(young)
    assert b.expired(1.2) == [old]
    assert b.clear() == [young]
    assert b.due_at(2.0) is None


def test_models_do_not_mix_and_take_turns() -> None:
    b = batcher("abcd", model_of="mnmn")
    for camera, at in (("b", 0.0), ("a", 0.01), ("c", 0.02), ("d", 0.03)):
        b.offer(frame(camera, 1, at))
    first, second = b.take(1.0), b.take(1.0)
    assert first is not None
    assert second is not None
    assert (first.model, names(first.frames)) == ("n", "b1 d1")
    assert (second.model, names(second.frames)) == ("m", "a1 c1")


def test_frames_of_a_model_that_is_full_go_on_waiting() -> None:
    """And newer ones still replace them; others are not held up."""
    b = batcher("ab", model_of="mn")
    b.offer(frame("a", 1, 0.0))
    b.offer(frame("b", 1, 0.01))
    taken = b.take(1.0, full=["m"])
    assert taken is not None
    assert names(taken.frames) == "b1"
    assert (b.take(1.0, full=["m"]), b.due_at(1.0, full=["m"])) == (None, None)
    b.offer(frame("a", 2, 1.0))
    taken = b.take(2.0)
    assert taken is not None
    assert names(taken.frames) == "a2"


def test_until_its_model_is_ready_the_newest_frame_of_a_camera_waits() -> None:
    b = Batcher({"a": "m", "b": "n"}, 0.1, 1.0)
    b.ready("n", 4)
    first, second, other = frame("a", 1, 0.0), frame("a", 2, 0.1), frame("b", 1, 0.2)
    assert b.offer(first) is None
    assert b.offer(second) is first
    assert (b.due_at(5.0), b.take(5.0)) == (None, None)
    b.offer(other)
    batch = b.take(5.0)
    assert batch is not None
    assert (batch.model, names(batch.frames)) == ("n", "b1")
    b.ready("m", 4)
    batch = b.take(5.0)
    assert batch is not None
    assert names(batch.frames) == "a2"


def test_until_its_model_is_ready_a_file_waits_with_one_frame() -> None:
    b = Batcher({"a": "m"}, 0.1, 1.0)
    assert b.has_room(frame("a", 1, 0.0, live=False))
    b.offer(frame("a", 1, 0.0, live=False))
    assert not b.has_room(frame("a", 2, 0.1, live=False))
    b.ready("m", 4)
    assert b.has_room(frame("a", 2, 0.1, live=False))


def test_a_model_that_is_refused_takes_nothing() -> None:
    b = Batcher({"a": "m", "b": "n"}, 0.1, 1.0)
    waiting, later, other = frame("a", 1, 0.0), frame("a", 2, 0.1, live=False), frame("b", 1, 0.0)
    b.offer(waiting)
    b.offer(other)
    assert b.refuse("m") == [waiting]
    assert b.has_room(later)
    assert b.offer(later) is later
    assert b.clear() == [other]


@given(
    arrivals=st.lists(st.tuples(st.sampled_from("abcdef"), st.floats(0.0, 0.05)), max_size=200),
    max_batch=st.integers(1, 4),
    every=st.integers(1, 9),
)
def test_any_arrivals(arrivals: list[tuple[str, float]], max_batch: int, every: int) -> None:
    """Every frame leaves once: in a batch, replaced or expired; in order for each camera, one a camera in a batch."""
    b = batcher("abcdef", max_batch)
    now, gone, newest = 0.0, [], dict.fromkeys("abcdef", 0)
    for sequence, (camera, gap) in enumerate(arrivals, start=1):
        now += gap
        replaced = b.offer(frame(camera, sequence, now))
        gone += [replaced.sequence] if replaced else []
        if sequence % every == 0:
            gone += [f.sequence for f in b.expired(now)]
            batch = b.take(now)
            if batch:
                cameras = [f.camera for f in batch.frames]
                assert len(set(cameras)) == len(cameras) <= max_batch
                assert [f.captured_mono for f in batch.frames] == sorted(f.captured_mono for f in batch.frames)
                for f in batch.frames:
                    assert f.sequence > newest[f.camera]
                    newest[f.camera] = f.sequence
                    gone.append(f.sequence)
    gone += [f.sequence for f in b.clear()]
    assert sorted(gone) == list(range(1, len(arrivals) + 1))


def test_a_camera_that_is_removed_takes_its_frames_along() -> None:
    b = batcher("ab", max_batch=2)
    gone, stays = frame("a", 1, 0.0), frame("b", 2, 0.0)
    b.offer(gone)
    b.offer(stays)
    assert b.remove_camera("a") == [gone]
    assert not b.knows("a")
    assert b.due_at(0.0) == 0.0  # the only one left waits for nobody
    batch = b.take(0.0)
    assert batch is not None
    assert batch.frames == (stays,)


def test_a_camera_that_is_added_has_no_turns_saved_up() -> None:
    b = batcher("a", max_batch=1, max_delay=0.0, max_age=1e9)
    turns = ""
    for sequence in range(20):
        if sequence == 10:
            b.set_camera("b", "m", 1.0)
        b.offer(frame("a", sequence, sequence))
        if sequence >= 10:
            b.offer(frame("b", sequence, sequence))
        batch = b.take(sequence)
        assert batch
        turns += batch.frames[0].camera
    assert turns[10:].count("b") == 5
    assert "bb" not in turns


def test_a_camera_that_takes_another_model_leaves_what_waited_behind() -> None:
    b = batcher("ab", model_of="mn", max_delay=0.0)
    waits, new = frame("a", 1, 0.0), frame("a", 2, 0.1)
    b.offer(waits)
    assert b.set_camera("a", "n", 1.0) == [waits]
    assert b.offer(new) is None
    batch = b.take(0.1)
    assert batch is not None
    assert (batch.model, batch.frames) == ("n", (new,))


def test_frames_wait_again_for_a_model_that_was_refused_and_is_expected() -> None:
    b = batcher("a")
    b.refuse("m")
    first, second = frame("a", 1, 0.0), frame("a", 2, 0.1)
    assert b.offer(first) is first
    b.expect("m")
    assert b.offer(second) is None
    assert b.take(9.0) is None
    b.ready("m", 1)
    batch = b.take(9.0)
    assert batch is not None
    assert batch.frames == (second,)


def test_what_waits_follows_new_times() -> None:
    b = batcher("ab", max_delay=0.1, max_age=1.0)
    b.offer(frame("b", 1, 0.0))
    b.take(0.1)
    waits = frame("a", 2, 0.2)
    b.offer(waits)
    assert b.due_at(0.2) == pytest.approx(0.3)
    b.limit(0.05, 0.5)
    assert b.due_at(0.2) == pytest.approx(0.25)
    assert b.expired(0.8) == [waits]


def test_priority_changes_from_the_next_turn_on() -> None:
    b = batcher("ab", max_batch=1, max_delay=0.0, max_age=1e9)
    b.set_camera("b", "m", 3.0)
    turns = Counter[str]()
    for sequence in range(40):
        for camera in "ab":
            b.offer(frame(camera, sequence, sequence))
        batch = b.take(sequence)
        assert batch
        turns[batch.frames[0].camera] += 1
    assert turns == {"a": 10, "b": 30}


@given(
    steps=st.lists(
        st.tuples(st.sampled_from("abcd"), st.sampled_from(["offer", "offer", "m", "n", "remove", "limit"])),
        max_size=200,
    ),
    max_batch=st.integers(1, 3),
    every=st.integers(1, 9),
)
def test_any_arrivals_while_cameras_come_go_and_change(
    steps: list[tuple[str, str]], max_batch: int, every: int
) -> None:
    """Every frame leaves once, for the model of its camera; one a camera in a batch, oldest first, none too early."""
    b = batcher("abcd", max_batch)
    b.ready("n", max_batch)
    model = dict.fromkeys("abcd", "m")
    offered, gone, last = [], [], dict.fromkeys("abcd", 0)
    for sequence, (camera, what) in enumerate(steps, start=1):
        now = sequence * 0.01
        if what in ("m", "n"):
            gone += [f.sequence for f in b.set_camera(camera, what, 2.0)]
            model[camera] = what
        elif what == "limit":
            b.limit(0.05, 0.2)
        elif what == "remove" and b.knows(camera):
            gone += [f.sequence for f in b.remove_camera(camera)]
        elif what == "offer" and b.knows(camera):
            offered.append(sequence)
            replaced = b.offer(frame(camera, sequence, now))
            gone += [replaced.sequence] if replaced else []
        gone += [f.sequence for f in b.expired(now)]
        batch = b.take(now) if sequence % every == 0 else None
        if batch:
            cameras = [f.camera for f in batch.frames]
            assert len(set(cameras)) == len(cameras) <= max_batch
            assert all(b.knows(name) and model[name] == batch.model for name in cameras)
            assert [f.sequence for f in batch.frames] == sorted(f.sequence for f in batch.frames)
            assert all(f.sequence > last[f.camera] for f in batch.frames)
            last.update({f.camera: f.sequence for f in batch.frames})
            gone += [f.sequence for f in batch.frames]
    gone += [f.sequence for f in b.clear()]
    assert sorted(gone) == offered


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

"""The batcher while cameras, models and times change."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.daemon.batching import batcher, frame


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


def test_frames_wait_for_a_model_that_is_no_longer_ready() -> None:
    b = batcher("a", max_delay=0.0)
    b.offer(frame("a", 1, 0.0))
    b.not_ready("m")
    assert b.take(1.0) is None
    assert b.due_at(1.0) is None
    b.ready("m", 2)
    assert b.take(1.0) is not None


def test_frame_sizes_are_those_of_the_cameras_that_a_model_has_now() -> None:
    """Also of frames that were taken, or came before there was a model."""
    b = batcher("ab", model_of="mn", max_delay=0.0)
    image = frame("a", 1, 0.0).image
    height, width = image.height, image.width
    assert b.frame_sizes("m") == set()
    b.refuse("m")
    b.offer(frame("a", 1, 0.0))
    assert b.frame_sizes("m") == {(height, width)}
    assert b.frame_sizes("n") == set()
    b.set_camera("a", "n", 1.0)
    assert b.frame_sizes("m") == set()
    b.offer(frame("a", 2, 0.1))
    b.take(0.1)
    assert b.frame_sizes("n") == {(height, width)}
    b.remove_camera("a")
    assert b.frame_sizes("n") == set()

"""Batching as a pure function of arrivals and time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from daemon.inference.batcher import Batcher
from daemon.system.credits import Credits
from tests.daemon.batching import batcher, frame, names


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


def test_live_frames_behind_one_that_waits_for_room_are_not_due() -> None:
    """As after a change of the camera's pace."""
    credit = Credits(limit=1)
    done = credit.consumer("publish")
    b = Batcher({"a": "m"}, max_delay=0.1, max_age=9.0, credit=credit)
    b.ready("m", 2)
    b.offer(frame("a", 1, 0.0, live=False))
    assert b.take(0.0) is not None
    for sequence in (2, 3, 4):
        b.offer(frame("a", sequence, 0.1, live=sequence == 4))
    assert b.due_at(0.2) is None
    assert b.take(0.2) is None
    assert b.expired(20.0) == []
    done()
    taken = b.take(0.2)
    assert taken is not None
    assert names(taken.frames) == "a2 a4", "the live one has replaced the one before it"
    assert b.waiting() == 0

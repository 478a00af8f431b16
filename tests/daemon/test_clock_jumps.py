"""A system clock that is set while events are made and wait: seconds stay true, times become true."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.config.outbox import Outbox as Settings
from daemon.mqtt.outgoing import Delivery, Handover
from daemon.outbox.capture_times import CaptureTimes
from daemon.outbox.replay import corrected
from daemon.outbox.sender import OutboxSender
from daemon.publish import event_payloads
from daemon.publish.object_ledger import ObjectLedger
from daemon.records import EventType
from daemon.records.object_events import ObjectEvent
from daemon.records.wire import rfc3339
from daemon.system.wall_clock import offset
from tests.conftest import wait_for
from tests.daemon.scenes import START, scene, show
from tests.daemon.test_scene_properties import WANTED, World

STEPS = st.lists(
    st.tuples(st.sampled_from([0.04, 0.1, 0.2, 0.5, 1.0]), st.sampled_from([0.0] * 5 + [-3600.0, -2.0, 5.0, 1.7e9])),
    min_size=1,
    max_size=80,
)


def told(seed: int, steps: Sequence[tuple[float, float]], *, jumps: bool) -> list[tuple[ObjectEvent, float]]:
    """The events of a scene, and how far the system clock was set by then."""
    world, now, off = World(seed), 0.0, 0.0
    where, events = scene(WANTED[0]), list[tuple[ObjectEvent, float]]()
    for seconds, jump in steps:
        if jumps and jump:
            off += jump
            where.correct(jump)
        now += seconds
        events += [(event, off) for event in show(where, now, world.look(seconds), START + off).events]
    return events


@given(st.integers(0, 1000), STEPS)
def test_seconds_do_not_depend_on_the_system_clock_and_times_follow_it(
    seed: int, steps: list[tuple[float, float]]
) -> None:
    plain, jumped = told(seed, steps, jumps=False), told(seed, steps, jumps=True)
    assert [(each.type, each.zone, each.line) for each, _ in plain] == [(e.type, e.zone, e.line) for e, _ in jumped]
    for (expected, _), (event, off) in zip(plain, jumped, strict=True):
        assert event.seconds == pytest.approx(expected.seconds) if expected.seconds is not None else True
        assert event.time == pytest.approx(expected.time + off, abs=1e-3)
        if event.object is not None and expected.object is not None:
            assert event.object.age == pytest.approx(expected.object.age)
            for key in ("first_seen", "last_seen"):
                assert getattr(event.object, key) == pytest.approx(getattr(expected.object, key) + off, abs=1e-3)


@given(st.integers(0, 1000), STEPS)
def test_seconds_told_after_a_crash_do_not_depend_on_the_system_clock(
    seed: int, steps: list[tuple[float, float]]
) -> None:
    left = []
    for jumps in (False, True):
        ledger = ObjectLedger({})
        kept: dict[str, bytes] = {}
        for event, _ in told(seed, steps, jumps=jumps):
            for key, value in ledger.note(event).items():
                kept.pop(key, None) if value is None else kept.update({key: value})
        left.append([(each.type, each.zone, each.seconds) for each in ObjectLedger(kept).unfinished(START)])
    plain, jumped = left
    assert [each[:2] for each in plain] == [each[:2] for each in jumped]
    assert [each[2] for each in plain] == pytest.approx([each[2] for each in jumped], abs=1e-3)


def test_seconds_in_a_zone_are_told_after_a_crash() -> None:
    ledger, kept, entered = ObjectLedger({}), dict[str, bytes](), dict[tuple[str, str | None], float]()
    for event, _ in told(1, [(0.1, 0.0)] * 40, jumps=False):
        kept.update({key: value or b"" for key, value in ledger.note(event).items()})
        if event.type is EventType.ZONE_ENTERED and event.object is not None:
            entered[event.object.id, event.zone] = event.time
    there = ObjectLedger({key: value for key, value in kept.items() if value}).unfinished(START)
    left = [each for each in there if each.type is EventType.ZONE_LEFT and each.object is not None]
    assert left
    for each in left:
        assert each.object is not None
        assert each.seconds == pytest.approx(each.object.last_seen - entered[each.object.id, each.zone], abs=1e-3)


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """One number: seconds by which the system clock is set."""
    by, real = [0.0], time.time
    monkeypatch.setattr(time, "time", lambda: real() + by[0])
    return by


def test_events_that_wait_are_sent_with_true_times(tmp_path: Path, set_clock: list[float]) -> None:
    sent: list[bytes] = []

    def deliver(_topic: str, payload: bytes) -> Delivery | Handover:
        sent.append(payload)
        return Delivery(deliver, len(sent))

    failures: list[BaseException] = []
    sender = OutboxSender(tmp_path / "o.db", Settings(), deliver, failures.append)
    sender.start()
    began = time.time()
    for jump in (-1.7e9, 0.0, 500.0):
        set_clock[0] = jump
        event = ObjectEvent("a", EventType.CAMERA_STATE, began + jump)
        sender.put(f"t{jump}", event_payloads.event("box", event, tracking=True), time.monotonic())
    wait_for(lambda: sender.counts.waiting == 3, "events in the outbox")
    set_clock[0] = -7200.0
    sender.link_changed(connected=True)
    wait_for(lambda: len(sent) == 3, "the events")
    sender.stop(0.0)
    wanted = rfc3339(began - 7200.0)[:16]
    assert [orjson.loads(payload)["time"][:16] for payload in sent] == [wanted] * 3
    assert failures == []


def test_all_times_of_a_message_are_moved_and_nothing_else() -> None:
    last, _ = told(1, [(0.1, 0.0)] * 40, jumps=False)[-1]
    assert last.object is not None
    later = replace(last.object, first_seen=last.object.first_seen + 60, last_seen=last.object.last_seen + 60)
    moved = replace(last, time=last.time + 60, object=later)
    assert corrected(event_payloads.event("box", last), 60.0) == event_payloads.event("box", moved)
    frigate = {"type": "end", "before": {"frame_time": 1.5, "id": "1.5-a"}, "after": {"end_time": None, "box": [1, 2]}}
    assert orjson.loads(corrected(orjson.dumps(frigate), 60.0)) == {
        **frigate,
        "before": {"frame_time": 61.5, "id": "1.5-a"},
    }


def test_what_is_known_of_messages_goes_with_them_to_another_file(set_clock: list[float]) -> None:
    known = CaptureTimes()
    for row, jump in enumerate([0.0, 0.0, 100.0, 300.0], 1):
        set_clock[0] = jump
        known.add(row, float(row), offset())
    known.move({2: 11, 3: 12, 4: 13})
    assert [round(known.correction(row)) for row in (10, 11, 12, 13)] == [0, 300, 200, 0]
    assert [known.pop(row) for row in (11, 12, 13)] == [2.0, 3.0, 4.0]


def test_a_message_made_before_the_clock_was_set_and_queued_after_is_corrected(
    tmp_path: Path, set_clock: list[float]
) -> None:
    sent: list[bytes] = []
    failures: list[BaseException] = []

    def deliver(_topic: str, payload: bytes) -> Delivery | Handover:
        sent.append(payload)
        return Delivery(deliver, len(sent))

    sender = OutboxSender(tmp_path / "o.db", Settings(), deliver, failures.append)
    sender.start()
    made, clock = time.time(), offset()
    set_clock[0] = 86400.0
    sender.put("t", event_payloads.event("box", ObjectEvent("a", EventType.GONE, made)), time.monotonic(), clock=clock)
    sender.link_changed(connected=True)
    wait_for(lambda: sent, "the event")
    sender.stop(0.0)
    assert orjson.loads(sent[0])["time"][:19] == rfc3339(made + 86400.0)[:19]
    assert failures == []

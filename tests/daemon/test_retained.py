"""Retained messages: which are sent, which are cleared, and what the next run knows of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.publish.retained import Retained


class Disk:
    """What runs keep, one after the other."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.is_slow = False
        self.pending: list[tuple[Mapping[str, bytes | None], Callable[[], None]]] = []

    def run(self) -> Retained:
        return Retained(dict(self.kept), self._keep)

    def _keep(self, changes: Mapping[str, bytes | None], done: Callable[[], None]) -> None:
        if self.is_slow:
            self.pending.append((changes, done))
        else:
            self._write(changes)
            done()

    def write(self) -> None:
        """What a slow disk has been given first."""
        changes, done = self.pending.pop(0)
        self._write(changes)
        done()

    def _write(self, changes: Mapping[str, bytes | None]) -> None:
        self.kept = {key: value for key, value in {**self.kept, **changes}.items() if value is not None}


@pytest.fixture
def disk() -> Disk:
    return Disk()


def send(retained: Retained) -> list[tuple[str, bytes]]:
    """Sends what is unsent, and returns it by topic."""
    sent = []
    retained.remember()
    while retained:
        sent.append(retained.pop())
        retained.sent(*sent[-1])
    return sorted(sent)


def test_only_the_latest_cleared_topics_are_remembered(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.publish.retained._CLEARED", 3)
    retained = disk.run()
    retained.set("info", b"{}")
    for number in range(10):
        retained.set(f"{number}/status", b"{}", str(number))
        send(retained)
        retained.keep([])
        assert send(retained) == [(f"{number}/status", b"")]
    retained.set("8/status", b"{}", "8")
    retained.mark_all_unsent()
    assert send(retained) == [("7/status", b""), ("8/status", b"{}"), ("9/status", b""), ("info", b"{}")]


def test_no_clearing_message_is_lost_however_many_there_are(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.publish.retained._CLEARED", 3)
    first = disk.run()
    for number in range(10):
        first.set(f"{number}", b"{}")
    send(first)
    second = disk.run()
    second.settle()
    assert send(second) == [(f"{number}", b"") for number in range(10)]


def test_a_topic_is_on_disk_before_the_broker_has_it(disk: Disk) -> None:
    """A slow disk holds back what is new, and nothing else."""
    disk.kept = _kept_by_a_run("info")
    disk.is_slow = True
    first = disk.run()
    for payload in (b"1", b"2"):
        first.set("status", payload)
        first.claim("image")
        first.set("info", payload)
        assert send(first) == [("info", payload)]
        assert first.is_held("image")
        first.mark_all_unsent()
        assert send(first) == [("info", payload)]
    disk.write()
    assert not first.is_held("image")
    assert send(first) == [("status", b"2")]
    disk.is_slow = False
    second = disk.run()
    second.settle()
    assert send(second) == [("image", b""), ("info", b""), ("status", b"")]


def test_a_topic_that_is_new_again_waits_for_its_own_note(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.publish.retained._CLEARED", 0)
    disk.is_slow = True
    run = disk.run()
    run.set("status", b"1", "front")
    run.remember()
    run.keep([])
    assert send(run) == [("status", b"")], "clearing it needs no note"
    run.set("status", b"2", "front")
    assert send(run) == []
    for _ in range(len(disk.pending) - 1):
        disk.write()
        assert send(run) == []
    disk.write()
    assert send(run) == [("status", b"2")]


def test_a_disk_that_hangs_holds_a_topic_back_for_a_while(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    disk.is_slow = True
    run = disk.run()
    run.set("status", b"1")
    assert send(run) == []
    assert run.due is not None
    now = run.due
    assert send(run) == [("status", b"1")]
    assert not run.is_held("status")


def _kept_by_a_run(topic: str) -> dict[str, bytes]:
    disk = Disk()
    run = disk.run()
    run.set(topic, b"{}")
    run.remember()
    return disk.kept


def test_a_clearing_message_is_sent_by_two_runs(disk: Disk) -> None:
    """A connection that broke may have lost the first one."""
    first = disk.run()
    first.claim("image", "front")
    first.set("status", b"{}")
    send(first)
    for _ in range(2):
        later = disk.run()
        later.claim("image", "front")
        later.settle()
        assert send(later) == [("status", b"")]
        later.remember()
    last = disk.run()
    last.claim("image", "front")
    last.settle()
    assert not last


def test_what_is_not_sent_is_cleared_by_a_later_run(disk: Disk) -> None:
    first = disk.run()
    first.set("status", b"{}")
    send(first)
    for _ in range(3):  # without a broker
        later = disk.run()
        later.settle()
        later.remember()
    assert later.pop() == ("status", b"")


def test_a_claimed_topic_is_left_alone(disk: Disk) -> None:
    first = disk.run()
    for topic in ("image", "status", "gone"):
        first.set(topic, b"1")
    send(first)
    second = disk.run()
    second.settle()
    send(second)
    second.claim("image", "front")
    second.set("status", b"2")
    assert send(second) == [("status", b"2")]
    third = disk.run()
    third.claim("image", "front")
    third.claim("status")
    third.settle()
    assert send(third) == [("gone", b"")]


TOPICS = st.sampled_from(["info", "front/status", "yard/status", "yard/image", "zone"])
RUN = st.tuples(st.sets(TOPICS), st.sets(TOPICS), st.integers(0, 6), st.booleans())
"""topics that it sets, topics that it only claims, after how many messages it is killed, whether later ones are lost"""


@given(st.lists(RUN, max_size=6), st.sets(TOPICS))
def test_whatever_earlier_runs_did_the_broker_keeps_what_the_last_one_says(
    runs: list[tuple[set[str], set[str], int, bool]], last: set[str]
) -> None:
    """They are killed at any time, also where the network has taken messages that never arrive; not twice in a row."""
    disk, broker, lost_before = Disk(), set[str](), False
    for said, claimed, count, lossy in [*runs, (last, set[str](), 1000, False)]:
        run = disk.run()
        for topic in claimed - said:
            run.claim(topic)
        for topic in said:
            run.set(topic, b"{}")
        run.settle()
        loses = lossy and not lost_before
        for number in range(1000):
            run.remember()
            if not run or (number >= count and not loses):
                break
            topic, payload = run.pop()
            if number < count:
                (broker.add if payload else broker.discard)(topic)
            run.sent(topic, payload)
            run.remember()
        lost_before = loses
    assert broker == last

"""How long and how many are logged in, and how often somebody may try."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from daemon.web import sessions
from daemon.web.sessions import Failures, Sessions


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the time is, in its only element, seconds."""
    now = [1000.0]
    monkeypatch.setattr(sessions, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def test_a_session_lasts_twelve_hours(clock: list[float]) -> None:
    known = Sessions()
    token = known.begin("view")
    clock[0] += 12 * 3600 - 1
    assert known.role(token) == "view"
    clock[0] += 2
    assert known.role(token) is None


def test_there_are_twenty_at_most_and_the_oldest_makes_room() -> None:
    known = Sessions()
    tokens = [known.begin("edit") for _ in range(21)]
    assert [known.role(token) for token in tokens] == [None] + ["edit"] * 20
    known.end(tokens[-1])
    assert known.role(tokens[-1]) is None
    assert len(set(tokens)) == 21
    assert min(map(len, tokens)) == 43, "256 bits"


def test_five_failures_of_one_address_and_thirty_of_all_are_too_many(clock: list[float]) -> None:
    failures = Failures()
    for _ in range(5):
        assert failures.wait("192.0.2.1", guessable=True) == 0
        failures.add("192.0.2.1")
    assert 0 < failures.wait("192.0.2.1", guessable=True) <= 61
    assert failures.wait("192.0.2.2", guessable=True) == 0
    for number in range(25):
        failures.add(f"198.51.100.{number}")
    assert failures.wait("192.0.2.2", guessable=True) > 0
    assert failures.wait("192.0.2.2", guessable=False) == 0, "a link cannot be guessed"
    clock[0] += 61
    assert failures.wait("192.0.2.1", guessable=True) == 0

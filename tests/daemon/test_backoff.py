"""The waits between two attempts: bounds, growth, spread, reset."""

from __future__ import annotations

import random

import pytest

from daemon.system.backoff import Backoff


class Fixed(random.Random):
    """Gives one value for ever."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def random(self) -> float:
        return self.value


@pytest.mark.parametrize(
    ("draw", "expected"),
    [
        (0.0, [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0]),
        (1.0, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]),
    ],
)
def test_grows_to_the_ceiling(draw: float, expected: list[float]) -> None:
    backoff = Backoff(rng=Fixed(draw))
    assert [backoff.next() for _ in expected] == expected


def test_reset_begins_again() -> None:
    backoff = Backoff(initial=1.0, ceiling=8.0, factor=2.0, rng=Fixed(1.0))
    assert [backoff.next() for _ in range(5)] == [1.0, 2.0, 4.0, 8.0, 8.0]
    backoff.reset()
    assert backoff.next() == 1.0


def test_two_devices_do_not_wait_alike() -> None:
    one, other = Backoff(rng=random.Random(1)), Backoff(rng=random.Random(2))
    assert [one.next() for _ in range(8)] != [other.next() for _ in range(8)]


@pytest.mark.parametrize(
    ("initial", "ceiling", "factor"), [(0.0, 30.0, 2.0), (-1.0, 30.0, 2.0), (2.0, 1.0, 2.0), (0.5, 30.0, 0.5)]
)
def test_refuses_senseless_bounds(initial: float, ceiling: float, factor: float) -> None:
    with pytest.raises(ValueError, match="needs 0 < initial"):
        Backoff(initial, ceiling, factor)

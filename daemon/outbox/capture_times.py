"""When what the messages are about was captured, for their latency, and by which system clock they were made."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from operator import itemgetter

from daemon.system.wall_clock import SET, offset

_LIMIT = 10_000  # messages; after a long outage only the newest


class CaptureTimes:
    """By row of the outbox, of the messages that this process has written; for one thread."""

    def __init__(self) -> None:
        self._times: dict[int, float] = {}
        self._clocks: list[tuple[int, float]] = []
        """first row of those that were made with the system clock so far ahead of time.monotonic()"""

    def add(self, row: int, captured: float, clock: float | None) -> None:
        """`captured`: time.monotonic(); `clock`: see Put. In the order of rows."""
        if clock is not None and (not self._clocks or abs(clock - self._clocks[-1][1]) >= SET):
            self._clocks.append((row, clock))
        self._times[row] = captured
        if len(self._times) > _LIMIT:
            del self._times[next(iter(self._times))]

    def pop(self, row: int) -> float | None:
        """None: it is not known."""
        return self._times.pop(row, None)

    def correction(self, row: int) -> float:
        """Seconds by which the system clock was set since the message was made; 0: it was not, or nobody knows."""
        index = bisect_right(self._clocks, row, key=itemgetter(0)) - 1
        seconds = offset() - self._clocks[index][1] if index >= 0 else 0.0
        return seconds if abs(seconds) >= SET else 0.0

    def move(self, rows: Mapping[int, int]) -> None:
        """The messages have these rows now, by those before."""
        self._times = {rows[row]: captured for row, captured in self._times.items() if row in rows}
        first = {before: next((now for old, now in rows.items() if old >= before), None) for before, _ in self._clocks}
        self._clocks = [(row, clock) for before, clock in self._clocks if (row := first[before]) is not None]

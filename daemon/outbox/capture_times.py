"""When what the messages are about was captured, for their latency."""

from __future__ import annotations

from collections.abc import Mapping

_LIMIT = 10_000  # messages; after a long outage only the newest


class CaptureTimes:
    """By row of the outbox, of the messages that this process has written; for one thread."""

    def __init__(self) -> None:
        self._times: dict[int, float] = {}

    def add(self, row: int, captured: float) -> None:
        """`captured`: time.monotonic()."""
        self._times[row] = captured
        if len(self._times) > _LIMIT:
            del self._times[next(iter(self._times))]

    def pop(self, row: int) -> float | None:
        """None: it is not known."""
        return self._times.pop(row, None)

    def move(self, rows: Mapping[int, int]) -> None:
        """The messages have these rows now, by those before."""
        self._times = {rows[row]: captured for row, captured in self._times.items() if row in rows}

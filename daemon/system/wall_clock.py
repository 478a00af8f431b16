"""UTC of moments on the monotonic clock, also when the system clock is set: a box without a battery starts in 1970."""

from __future__ import annotations

import time

_SET = 1.0  # seconds; smaller differences are drift, which moves no time that was published


class WallClock:
    """Not thread-safe. The UTC of a moment changes only with `correction`."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def at(self, moment: float) -> float:
        """UTC, seconds since the epoch, of a moment of time.monotonic()."""
        return moment + self._offset

    def correction(self) -> float:
        """Seconds by which the system clock was set since the last call; 0 if it was not."""
        offset = time.time() - time.monotonic()
        seconds = offset - self._offset
        if abs(seconds) < _SET:
            return 0.0
        self._offset = offset
        return seconds

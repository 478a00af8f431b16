"""UTC of moments on the monotonic clock, also when the system clock is set: a box without a battery starts in 1970."""

from __future__ import annotations

import time

SET = 1.0  # seconds; smaller differences are drift, which moves no time that was published


def offset() -> float:
    """How far the system clock is ahead of the monotonic one now, seconds."""
    return time.time() - time.monotonic()


class WallClock:
    """Not thread-safe. The UTC of a moment changes only with `correction`."""

    def __init__(self) -> None:
        self.offset = offset()
        """see the function of that name, as of the last `correction`"""

    def at(self, moment: float) -> float:
        """UTC, seconds since the epoch, of a moment of time.monotonic()."""
        return moment + self.offset

    def correction(self) -> float:
        """Seconds by which the system clock was set since the last call; 0 if it was not."""
        now = offset()
        seconds = now - self.offset
        if abs(seconds) < SET:
            return 0.0
        self.offset = now
        return seconds

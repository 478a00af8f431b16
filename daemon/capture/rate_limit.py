"""Limits a camera's frame rate: pure, time is passed in."""

from __future__ import annotations

import math

_ROUNDING = 1e-6  # seconds that the sum of many periods may be off


class RateLimiter:
    """Admits evenly spaced frames, exact over time: of 25 frames a second 10 are every second and third in turn."""

    def __init__(self, fps: float | None) -> None:
        """`fps` is the most frames a second to admit; None: all."""
        self._period = 0.0 if fps is None else 1 / fps
        self._due = 0.0
        self._last = math.inf

    def admits(self, at: float) -> bool:
        """Whether to take the frame of this time, seconds on any clock; starts over when the clock is set back."""
        if at < self._last:
            self._due = at
        self._last = at
        if at < self._due - _ROUNDING:
            return False
        # A frame may be late by a period where the rates do not divide, and by another where frames come irregularly,
        # without delaying those after it; more than that is not made up for.
        self._due = max(self._due, at - 2 * self._period) + self._period
        return True

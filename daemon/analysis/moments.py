"""When something was, by two clocks: the one that seconds are counted by, and UTC. Pure."""

from __future__ import annotations

from bisect import bisect_right

_FRAMES = 4096
"""frames that are remembered, at least; a minute or two"""


class Moments:
    """Of one camera. Of a file that is read as fast as possible the two clocks run differently."""

    def __init__(self) -> None:
        self._nows: list[float] = []
        self._utcs: list[float] = []

    def add(self, now: float, utc: float) -> None:
        """Takes a frame's times; `now` is later than that of the last."""
        if len(self._nows) >= 2 * _FRAMES:
            del self._nows[:_FRAMES], self._utcs[:_FRAMES]
        self._nows.append(now)
        self._utcs.append(utc)

    def correct(self, seconds: float) -> None:
        """The second clock was set by so much."""
        self._utcs = [utc + seconds for utc in self._utcs]

    def clear(self) -> None:
        """The first clock has gone back."""
        self._nows, self._utcs = [], []

    def utc(self, when: float) -> float:
        """That time of the first clock as UTC, of a frame or between two."""
        index = bisect_right(self._nows, when) - 1
        if index < 0:
            return self._utcs[0] - (self._nows[0] - when)
        if index + 1 == len(self._nows):
            return self._utcs[index] + (when - self._nows[index])
        part = (when - self._nows[index]) / (self._nows[index + 1] - self._nows[index])
        return self._utcs[index] + part * (self._utcs[index + 1] - self._utcs[index])

"""How many are in a zone, and when that is too many. Pure."""

from __future__ import annotations

from dataclasses import dataclass

_SETTLES = 3.0
"""seconds that a zone must be crowded, or no longer, until it counts"""


@dataclass(slots=True)
class Crowding:
    """Whether there are more than `most` objects in a zone."""

    most: int
    crowded: bool = False
    _since: float | None = None
    """when it began to be otherwise"""

    def end(self) -> bool:
        """Nobody counts any longer; whether it was crowded."""
        crowded, self.crowded, self._since = self.crowded, False, None
        return crowded

    def see(self, count: int, now: float) -> float | None:
        """Takes the objects at a time, seconds; when it changed, if it has just been otherwise for long enough."""
        if (count > self.most) == self.crowded:
            self._since = None
            return None
        if self._since is None:
            self._since = now
        if now - self._since < _SETTLES:
            return None
        since, self._since = self._since, None
        self.crowded = not self.crowded
        return since + _SETTLES

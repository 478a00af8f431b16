"""Counts of objects by class that do not flicker from frame to frame. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

_HOLD = 1.0  # seconds of frames with fewer objects before the number falls; detections come and go


class Counts:
    """Of one camera. A number rises at once; it falls to the most seen within a second of frames with fewer."""

    def __init__(self, labels: Iterable[str]) -> None:
        self._current = dict.fromkeys(labels, 0)
        self._fewer: dict[str, tuple[float, int]] = {}
        """by class: since when frames have had fewer than the current number, and the most that they had"""

    def see(self, now: float, counts: Mapping[str, int]) -> dict[str, int]:
        """Takes the counts of a frame by class, captured at `now` (monotonic seconds); the numbers that changed."""
        changed = {}
        for label, current in self._current.items():
            seen = counts.get(label, 0)
            if seen < current:
                since, most = self._fewer.get(label, (now, 0))
                most = max(most, seen)
                self._fewer[label] = since, most
                if now - since < _HOLD:
                    continue
                seen = most
            self._fewer.pop(label, None)
            if seen != current:
                changed[label] = seen
        self._current.update(changed)
        return changed

"""How many objects of each class are there, for those who want one number and not one a frame. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

_HOLD = 1.0  # seconds of frames with fewer objects before the number falls; detections come and go


class Counts:
    """Of one camera. A number rises at once; it falls to the most seen within a second of frames with fewer."""

    def __init__(self, labels: Iterable[str]) -> None:
        self._told = dict.fromkeys(labels, 0)
        self._fewer: dict[str, tuple[float, int]] = {}
        """by class, since when frames have had fewer than was told, and the most that they had"""

    def see(self, now: float, counts: Mapping[str, int]) -> dict[str, int]:
        """Takes the objects of a frame by class, and when it was captured (monotonic seconds); what has changed."""
        changed = {}
        for label, told in self._told.items():
            seen = counts.get(label, 0)
            if seen < told:
                since, most = self._fewer.get(label, (now, 0))
                most = max(most, seen)
                self._fewer[label] = since, most
                if now - since < _HOLD:
                    continue
                seen = most
            self._fewer.pop(label, None)
            if seen != told:
                changed[label] = seen
        self._told.update(changed)
        return changed

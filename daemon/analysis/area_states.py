"""What is retained of zones and lines: on change, at most once a second, the last always. Pure: the time is passed."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from daemon.analysis.areas import Totals
from daemon.records.objects import Direction, LineState, Occupancy, ZoneState

_AT_MOST = 1.0
"""seconds between two messages of one zone"""
_Area = tuple[str, str]
"""camera and name"""


class AreaStates:
    """Of all cameras of a device."""

    def __init__(self) -> None:
        self._zones: dict[_Area, Occupancy | None] = {}
        """as last told; None: not yet"""
        self._lines: dict[_Area, Totals | None] = {}
        self._told_at: dict[_Area, float] = {}
        self._waiting: set[str] = set()
        """cameras of which something has changed that is not told yet"""
        self._ready: list[ZoneState | LineState] = []
        self._restarting: set[_Area] = set()
        """lines whose totals were reset"""

    def configure(self, zones: Collection[_Area], lines: Collection[_Area]) -> None:
        """From now on there are these."""
        for camera, zone in [area for area in self._zones if area not in zones]:
            del self._zones[camera, zone]
            self._ready.append(ZoneState(camera, zone, None))
        for camera, line in [area for area in self._lines if area not in lines]:
            del self._lines[camera, line]
            self._ready.append(LineState(camera, line, None))
        self._zones |= {area: None for area in zones if area not in self._zones}
        self._lines |= {area: None for area in lines if area not in self._lines}

    def reset(self, camera: str | None) -> None:
        """Resets the totals of a camera's lines, or all."""
        self._restarting |= {area for area in self._lines if camera in (None, area[0])}

    def is_waiting(self, camera: str) -> bool:
        """Whether something has changed that is not told yet."""
        return camera in self._waiting

    def note(
        self, camera: str, occupancy: Mapping[str, Occupancy], totals: Totals, now: float, *, at_once: bool
    ) -> None:
        """How a camera's zones and lines are now; `at_once`: it may be the last time for long."""
        self._waiting.discard(camera)
        for area in [area for area in self._zones if area[0] == camera]:
            state = occupancy.get(area[1], Occupancy())
            if state != self._zones[area] and self._may_tell(area, now, at_once):
                self._zones[area] = state
                self._ready.append(ZoneState(*area, state))
        for area in [area for area in self._lines if area[0] == camera]:
            crossed = {key: count for key, count in totals.items() if key[0] == area[1]}
            begins = area in self._restarting
            if (begins or crossed != self._lines[area]) and self._may_tell(area, now, at_once):
                self._lines[area] = crossed
                self._restarting.discard(area)
                ways = ({label: n for (_, way, label), n in crossed.items() if way is each} for each in Direction)
                self._ready.append(LineState(*area, tuple(ways), begins=begins))

    def take(self) -> list[ZoneState | LineState]:
        """What is to be told."""
        ready, self._ready = self._ready, []
        return ready

    def _may_tell(self, area: _Area, now: float, at_once: bool) -> bool:
        if self._zones.get(area, self._lines.get(area)) is None:  # zeros at the start hold up nothing
            return True
        last = self._told_at.get(area)
        if not at_once and last is not None and now - last < _AT_MOST:
            self._waiting.add(area[0])
            return False
        self._told_at[area] = now
        return True

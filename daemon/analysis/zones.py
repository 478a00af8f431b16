"""Who is in which zone, and for how long. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from daemon.analysis.association import Floats
from daemon.analysis.geometry import View
from daemon.config.tracking import Zone

_SLACK = 1e-6  # seconds; what sums of times between frames are off


class ZoneShapes:
    """The polygons of a camera's zones, in pixels of its frames."""

    def __init__(self, zones: Mapping[str, Zone], view: View) -> None:
        self._starts: list[int] = []
        ends: list[Floats] = []
        starts_of_edges: list[Floats] = []
        lower: list[bool] = []
        for zone in zones.values():
            corners = view.pixels(zone.polygon)
            self._starts.append(sum(len(each) for each in ends))
            starts_of_edges.append(corners)
            ends.append(np.roll(corners, -1, axis=0))
            lower += [zone.anchor == "bottom"] * len(corners)
        self._lower = np.array(lower, bool)
        if zones:
            start, end = np.concatenate(starts_of_edges), np.concatenate(ends)
            self._y1, self._y2, self._x1 = start[:, 1], end[:, 1], start[:, 0]
            rise = self._y2 - self._y1
            self._slope = (end[:, 0] - start[:, 0]) / np.where(rise == 0, 1.0, rise)
        self._bits = 1 << np.arange(len(zones), dtype=np.int64)

    def inside(self, anchors: Floats) -> list[int]:
        """Of anchors [n, 3]: the zones that each is in, a bit each, the first zone's the lowest."""
        if not self._starts:
            return [0] * len(anchors)
        x = anchors[:, 0, None]
        y = np.where(self._lower, anchors[:, 1, None], anchors[:, 2, None])
        crosses = ((self._y1 > y) != (self._y2 > y)) & (x < (y - self._y1) * self._slope + self._x1)
        odd: NDArray[np.bool_] = np.logical_xor.reduceat(crosses, self._starts, axis=1)
        result: list[int] = (odd @ self._bits).tolist()
        return result


class StayChange(Enum):
    """What has changed about an object and a zone."""

    ENTERED = 1
    LEFT = 2
    DWELT = 3


@dataclass(frozen=True, slots=True)
class Change:
    """Of one object and one zone."""

    zone: int
    """its index"""
    kind: StayChange
    at: float
    """when it became true, seconds of the frames' clock"""
    seconds: float
    """in the zone"""


@dataclass(slots=True)
class _Stay:
    since: float
    """first sighting inside"""
    settled: bool = False
    """it has been inside for long enough"""
    outside_since: float | None = None
    told: int = 0
    """how many of the zone's dwell times have passed"""


class Stays:
    """One object's stays in the zones of its camera; only sightings count."""

    def __init__(self, zones: Sequence[Zone], stays: Mapping[int, _Stay] | None = None) -> None:
        self._zones = zones
        self._stays = dict(stays or {})
        """by zone, in the order entered; also of those in which it is not for long enough yet"""
        self.settled: int | None = None if stays else 0
        """the zones, a bit each, inside of which a sighting changes nothing; None: any may change something"""

    def current(self) -> list[int]:
        """The zones that it is in, in the order entered."""
        return [zone for zone, stay in self._stays.items() if stay.settled]

    def see(self, inside: int, admitted: int, now: float) -> list[Change]:
        """Takes a sighting: zones that it is inside of, and those whose filters it passes, a bit each."""
        changes: list[Change] = []
        for index in [*self._stays, *(index for index in bits(inside & admitted) if index not in self._stays)]:
            stay = self._stays.get(index)
            if stay is None:
                stay = self._stays[index] = _Stay(now)
            if inside >> index & 1:
                changes += self._inside(index, stay, now)
            elif not stay.settled:
                del self._stays[index]
            else:
                changes += self._outside(index, stay, now)
        settled = all(
            stay.settled and stay.outside_since is None and stay.told == len(self._zones[index].dwell)
            for index, stay in self._stays.items()
        )
        self.settled = sum(1 << index for index in self._stays) if settled else None
        return changes

    def leave(self, zones: Sequence[int], at: float) -> list[Change]:
        """It is in these no longer, since it was last seen."""
        changes = []
        self.settled = None
        for index in zones:
            if (stay := self._stays.pop(index, None)) is not None and stay.settled:
                since = at if stay.outside_since is None else stay.outside_since
                changes.append(Change(index, StayChange.LEFT, since, since - stay.since))
        return changes

    def moved(self, zones: Sequence[Zone], where: Mapping[int, int]) -> Stays:
        """The same stays where the zones are others, by what has become of the indices of those that are the same."""
        return Stays(zones, {where[index]: stay for index, stay in self._stays.items() if index in where})

    def restrict(self, admitted: int) -> None:
        """It turns out to be something that does not count in other zones than these."""
        self._stays = {index: stay for index, stay in self._stays.items() if admitted >> index & 1}
        self.settled = None

    def entered(self) -> list[Change]:
        """Of the zones that it is in: that it has come in, and the dwell times that have passed."""
        changes = []
        for index, stay in self._stays.items():
            if stay.settled:
                changes.append(Change(index, StayChange.ENTERED, stay.since, 0.0))
                dwelt = self._zones[index].dwell[: stay.told]
                changes += [Change(index, StayChange.DWELT, stay.since + seconds, seconds) for seconds in dwelt]
        return changes

    def _inside(self, index: int, stay: _Stay, now: float) -> Iterator[Change]:
        zone = self._zones[index]
        stay.outside_since = None
        if not stay.settled and now - stay.since >= zone.enter_after - _SLACK:
            stay.settled = True
            yield Change(index, StayChange.ENTERED, stay.since, 0.0)
        while stay.settled and stay.told < len(zone.dwell) and now - stay.since >= zone.dwell[stay.told] - _SLACK:
            seconds = zone.dwell[stay.told]
            stay.told += 1
            yield Change(index, StayChange.DWELT, stay.since + seconds, seconds)

    def _outside(self, index: int, stay: _Stay, now: float) -> Iterator[Change]:
        if stay.outside_since is None:
            stay.outside_since = now
        if now - stay.outside_since >= self._zones[index].leave_after - _SLACK:
            del self._stays[index]
            yield Change(index, StayChange.LEFT, stay.outside_since, stay.outside_since - stay.since)


def bits(number: int) -> list[int]:
    """The places of the bits that are set."""
    return [index for index in range(number.bit_length()) if number >> index & 1]

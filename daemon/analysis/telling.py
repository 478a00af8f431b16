"""Makes events from what has happened to objects. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from daemon.analysis.areas import Areas, Happened
from daemon.analysis.geometry import View
from daemon.analysis.lines import Crossing
from daemon.analysis.moments import Moments
from daemon.analysis.tracked_object import TrackedObject
from daemon.analysis.zones import Change, StayChange
from daemon.records import EventType
from daemon.records.object_events import ObjectEvent
from daemon.records.objects import LeftReason


@dataclass(frozen=True, slots=True)
class Moment:
    """When something is decided, by two clocks."""

    now: float
    """of the frames, seconds"""
    utc: float
    """seconds since the epoch"""
    frames: Moments
    """that were processed until then"""

    def at(self, when: float) -> float:
        """That time of the frames' clock, of a frame or between two, as UTC."""
        return min(self.utc, self.frames.utc(when))


class Teller:
    """Makes the events of one camera; keeps the counts that they tell."""

    def __init__(self, camera: str, areas: Areas, labels: Sequence[str], view: View) -> None:
        self._camera = camera
        self._areas = areas
        self._labels = labels
        self._size = view.width, view.height

    def appeared(self, each: TrackedObject, moment: Moment) -> list[ObjectEvent]:
        """It is certain now; with all that it did before."""
        each.told = True
        each.stays.restrict(self._areas.admission.by_label[each.label])
        events = [self._event(EventType.OBJECT_APPEARED, moment.utc, each)]
        events += self.stays(each, each.stays.entered(), moment)
        events += self._crossed(each, each.crossed, moment)
        each.crossed = []
        if each.stationary:
            events.append(replace(self._event(EventType.OBJECT_STATIONARY, moment.utc, each), seconds=0.0))
        return events

    def happened(self, each: TrackedObject, what: Happened, moment: Moment) -> list[ObjectEvent]:
        """In the zones and at the lines."""
        return [*self.stays(each, what.stays, moment), *self._crossed(each, what.crossings, moment)]

    def turned(self, each: TrackedObject, stands: bool, since: float, moment: Moment) -> list[ObjectEvent]:
        """It has come to stand or moves again, since a time of the frames' clock."""
        time = moment.at(since)
        seconds = max(0.0, since - each.stationary_since)
        each.stationary, each.stationary_since = stands, since
        if not each.told:
            return []
        kind = EventType.OBJECT_STATIONARY if stands else EventType.OBJECT_MOVING
        return [replace(self._event(kind, time, each), seconds=seconds)]

    def left(self, each: TrackedObject, reason: LeftReason, moment: Moment) -> list[ObjectEvent]:
        """It is gone; its zones first."""
        events = self.stays(each, each.stays.leave(each.stays.current(), each.last_mono), moment)
        seconds = each.last_mono - each.first_mono
        event = self._event(EventType.OBJECT_LEFT, moment.utc, each)
        events.append(replace(event, seconds=seconds, left_because=reason))
        return events

    def stays(self, each: TrackedObject, changes: Sequence[Change], moment: Moment) -> list[ObjectEvent]:
        """What has changed about it and the zones; nothing while it is not certain."""
        return [self._stay(each, change, moment) for change in changes] if each.told else []

    def crowding(self, moment: Moment) -> list[ObjectEvent]:
        """Of the zones that may be too full, as they are now."""
        events = []
        for name, crowding in self._areas.crowding.items():
            count = self._areas.counts[name].total()
            if (since := crowding.see(count, moment.now)) is not None:
                kind = EventType.ZONE_CROWDED if crowding.crowded else EventType.ZONE_CLEARED
                events.append(ObjectEvent(self._camera, kind, moment.at(since), count=count, zone=name))
        return events

    def cleared(self, zones: Iterable[str], moment: Moment) -> list[ObjectEvent]:
        """Of those of these zones that are crowded: nobody counts in them any longer."""
        crowded = [name for name in zones if name in self._areas.crowding and self._areas.crowding[name].end()]
        return [ObjectEvent(self._camera, EventType.ZONE_CLEARED, moment.utc, count=0, zone=name) for name in crowded]

    def _stay(self, each: TrackedObject, change: Change, moment: Moment) -> ObjectEvent:
        zone, label = self._areas.zone_names[change.zone], self._labels[each.label]
        counts, time = self._areas.counts[zone], moment.at(change.at)
        if change.kind is StayChange.DWELT:
            return replace(self._event(EventType.ZONE_DWELL, time, each), zone=zone, seconds=change.seconds)
        if change.kind is StayChange.LEFT:
            counts[label] -= 1
            event = self._event(EventType.ZONE_LEFT, time, each)
            return replace(event, zone=zone, count=counts[label], seconds=change.seconds)
        counts[label] += 1
        if zone not in each.visited:
            each.visited.append(zone)
        return replace(self._event(EventType.ZONE_ENTERED, time, each), zone=zone, count=counts[label])

    def _crossed(self, each: TrackedObject, crossings: Sequence[Crossing], moment: Moment) -> list[ObjectEvent]:
        label = self._labels[each.label]
        return [
            replace(
                self._event(EventType.LINE_CROSSED, moment.at(crossing.at), each),
                line=self._areas.line_names[crossing.line],
                direction=crossing.direction,
                total=self._areas.cross(crossing.line, crossing.direction, label),
                uncertain=crossing.uncertain,
            )
            for crossing in crossings
            if self._areas.counts_at(crossing.line, label)
        ]

    def _event(self, kind: EventType, time: float, each: TrackedObject) -> ObjectEvent:
        snapshot = each.snapshot(self._labels, self._areas.zone_names, self._size)
        return ObjectEvent(self._camera, kind, time, snapshot.label, object=snapshot)

"""What happens before one camera: detections in, events of objects, zones and lines out. Pure: time comes with frames.

Nothing is reported of an object before it is confirmed; what it did until then is reported at once. Its last event is
`object-left`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from daemon.analysis.admission import Beginning
from daemon.analysis.areas import Areas, Happened, Totals
from daemon.analysis.association import Floats, Ints
from daemon.analysis.geometry import View
from daemon.analysis.moments import Moments
from daemon.analysis.telling import Moment, Teller
from daemon.analysis.tracked_object import TrackedObject
from daemon.analysis.tracking import Sightings, Tracker, TrackerSettings
from daemon.config.tracking import Line, ObjectFilter, Stationary, Tracking, Zone
from daemon.records.followed import Followed, ObjectCounts
from daemon.records.object_events import ObjectEvent
from daemon.records.objects import LeftReason, Occupancy

LONGEST_GAP = 10.0
"""seconds without a frame after which nobody has looked"""
_NEVER = Stationary(after=1e12)


@dataclass(frozen=True, slots=True)
class SceneSettings:
    """What is looked for at a camera."""

    tracking: Tracking
    confidence: float
    """least score of a detection that may begin an object"""
    wanted: tuple[str, ...] | None
    """classes that are followed; None: all"""
    filters: Mapping[str, ObjectFilter]
    """by class name"""
    zones: Mapping[str, Zone]
    lines: Mapping[str, Line]


@dataclass(frozen=True, slots=True)
class Seen:
    """What one frame has shown."""

    events: list[ObjectEvent]
    objects: list[TrackedObject | None]
    """of each detection, in their order; None: it is none that was told of"""


class Scene:
    """Of one camera, one model and one shape of frames."""

    def __init__(
        self,
        camera: str,
        settings: SceneSettings,
        labels: Sequence[str],
        view: View,
        identify: Callable[[float], tuple[str, int]],
        totals: Totals | None = None,
    ) -> None:
        """`identify` makes an identifier and a number, never the same ones, for what was first seen at a time (UTC)."""
        self._camera = camera
        self._settings = settings
        self._labels = labels
        self._view = view
        self._identify = identify
        self._beginning = Beginning(labels, settings.confidence, settings.wanted, settings.filters)
        self._tracker = Tracker(_tracker_settings(settings, labels))
        self._areas = Areas(settings.zones, settings.lines, labels, view, {} if totals is None else totals)
        self._teller = Teller(camera, self._areas, labels, view)
        self._objects: dict[int, TrackedObject] = {}
        self._now: float | None = None
        self._moments = Moments()
        self._away = False
        """nobody has looked since the last frame"""
        self.refused = 0
        """detections that would have begun an object if there were not too many"""

    def see(self, boxes: Floats, scores: Floats, labels: Ints, now: float, utc: float, sequence: int) -> Seen:
        """Takes a frame's detections: boxes [n, 4] in pixels, scores and class indices [n].

        `now` is the time by which seconds are counted: a frame that is not newer than the last is not tracked. Time
        that goes back is as in `begin_again`.
        """
        events: list[ObjectEvent] = []
        if self._now is not None and now <= self._now:
            if now == self._now:
                return Seen(events, [None] * len(boxes))
            events += self.begin_again(utc)
        if self._now is not None and (self._away or now - self._now > LONGEST_GAP):
            events += self.look_away(utc)
            self._tracker.skip(now - self._now)
        self._now, self._away = now, False
        self._moments.add(now, utc)
        looked = scores >= self._settings.tracking.low_score
        every = np.count_nonzero(looked) == len(looked)
        boxes_seen, scores_seen, labels_seen = (
            (boxes, scores, labels) if every else (boxes[looked], scores[looked], labels[looked])
        )
        strong = self._beginning.strong(boxes_seen, scores_seen, labels_seen, self._view)
        sightings = self._tracker.see(boxes_seen, scores_seen, labels_seen, strong, now)
        self.refused += sightings.refused
        moment = Moment(now, utc, self._moments)
        events += self._leave(sightings.left, LeftReason.UNSEEN, moment)
        for key in sightings.forgotten:
            self._objects.pop(key, None)
        found = self._found(sightings, boxes_seen, scores_seen, labels_seen, moment, sequence)
        events += self._judge(found, sightings, boxes_seen, scores_seen, moment)
        events += self._teller.crowding(moment)
        told = [each if each is not None and each.told else None for each in found]
        if every:
            return Seen(events, told)
        objects: list[TrackedObject | None] = [None] * len(boxes)
        for index, each in zip(looked.nonzero()[0].tolist(), told, strict=True):
            objects[index] = each
        return Seen(events, objects)

    def correct(self, seconds: float) -> None:
        """The system clock was set by so much."""
        self._moments.correct(seconds)
        for each in self._objects.values():
            each.correct(seconds)

    def begin_again(self, utc: float) -> list[ObjectEvent]:
        """The next frame is the first of a recording that is played again: what was there is seen no more."""
        events = self.end(LeftReason.UNSEEN, utc)
        self._now = None
        self._moments.clear()
        return events

    def look_away(self, utc: float) -> list[ObjectEvent]:
        """No frames come any more: who moves is gone, who stands is waited for."""
        if self._now is None or self._away:
            return []
        self._away = True
        return self._leave(self._tracker.look_away(), LeftReason.CAMERA_LOST, Moment(self._now, utc, self._moments))

    def end(self, reason: LeftReason, utc: float) -> list[ObjectEvent]:
        """Everything that is there has left."""
        now = 0.0 if self._now is None else self._now
        self._tracker = Tracker(self._tracker.settings)
        moment = Moment(now, utc, self._moments)
        return [*self._leave(list(self._objects), reason, moment), *self._teller.cleared(self._areas.zones, moment)]

    def reconfigure(self, settings: SceneSettings, utc: float) -> list[ObjectEvent]:
        """Other zones, lines, filters or labels from now on; `tracking` is the same.

        Objects stay, but those of a class that is no longer looked for. Zones that are no longer the same are left,
        and entered again at the next sightings.
        """
        before, now = self._areas, self._now or 0.0
        zones = _same(before.zones, settings.zones)
        lines = _same(before.lines, settings.lines)
        moment, wanted = Moment(now, utc, self._moments), settings.wanted
        unwanted = [
            key for key, each in self._objects.items() if wanted is not None and self._labels[each.label] not in wanted
        ]
        events = self._leave(unwanted, LeftReason.RECONFIGURED, moment)
        for each in self._objects.values():
            others = [index for index in each.stays.current() if index not in zones]
            events += self._teller.stays(each, each.stays.leave(others, each.last_mono), moment)
        events += self._teller.cleared([name for i, name in enumerate(before.zone_names) if i not in zones], moment)
        self._settings = settings
        self._beginning = Beginning(self._labels, settings.confidence, settings.wanted, settings.filters)
        self._areas = Areas(settings.zones, settings.lines, self._labels, self._view, before.totals)
        for each in self._objects.values():
            each.stays = each.stays.moved(list(settings.zones.values()), zones)
            each.sides = each.sides.moved(len(settings.lines), lines)
            each.followed = None
        for old, new in zones.items():
            self._areas.counts[self._areas.zone_names[new]] = before.counts[before.zone_names[old]]
            if before.zone_names[old] in before.crowding:
                self._areas.crowding[self._areas.zone_names[new]] = before.crowding[before.zone_names[old]]
        self._teller = Teller(self._camera, self._areas, self._labels, self._view)
        return events

    def occupancy(self) -> dict[str, Occupancy]:
        """Of each zone, objects that were told of, also those that are not seen just now."""
        result = {name: Occupancy() for name in self._areas.zones}
        for each in self._objects.values():
            if each.told:
                for index in each.stays.current():
                    zone, label = result[self._areas.zone_names[index]], self._labels[each.label]
                    for counts in (zone.counts, zone.stationary if each.stationary else zone.active):
                        counts[label] = counts.get(label, 0) + 1
        return result

    def followed(self, each: TrackedObject) -> Followed:
        """How one of them is now."""
        if each.followed is None:
            zones = tuple(self._areas.zone_names[index] for index in each.stays.current())
            each.followed = Followed(each.id, each.number, each.stationary, zones)
        return each.followed

    def counts(self) -> ObjectCounts:
        """How many there are."""
        there = self.objects()
        lost = sum(each.last_mono != self._now for each in there)
        return ObjectCounts(len(there), lost, sum(each.stationary for each in there), self.refused)

    def objects(self) -> list[TrackedObject]:
        """Those that were told of and have not left."""
        return [each for each in self._objects.values() if each.told]

    def _leave(self, keys: Iterable[int], reason: LeftReason, moment: Moment) -> list[ObjectEvent]:
        events = []
        for key in keys:
            if (each := self._objects.pop(key, None)) is not None and each.told:
                events += self._teller.left(each, reason, moment)
        return events

    def _found(
        self, sightings: Sightings, boxes: Floats, scores: Floats, labels: Ints, moment: Moment, sequence: int
    ) -> list[TrackedObject | None]:
        """The object of each detection, after it has taken the sighting; None: it is of none."""
        found: list[TrackedObject | None] = []
        now, utc = moment.now, moment.utc
        seen = zip(sightings.keys.tolist(), map(tuple, boxes.tolist()), scores.tolist(), labels.tolist(), strict=True)
        for key, box, score, label in seen:
            if not key:
                found.append(None)
                continue
            if (each := self._objects.get(key)) is None:
                each = TrackedObject(key, self._identify(utc), label, *self._areas.outside(), now, utc)
                self._objects[key] = each
            each.see(box, score, label, now, utc, sequence)
            found.append(each)
        return found

    def _judge(
        self,
        found: Sequence[TrackedObject | None],
        sightings: Sightings,
        boxes: Floats,
        scores: Floats,
        moment: Moment,
    ) -> list[ObjectEvent]:
        """What has happened to the objects of these detections, and to those that were not seen."""
        objects = [each for each in found if each is not None]
        events: list[ObjectEvent] = []
        which = sightings.keys.nonzero()[0]
        happened = self._areas.see(objects, boxes[which], scores[which], moment.now)
        for each, what, established in zip(objects, happened, sightings.established[which].tolist(), strict=True):
            if not each.told:
                events += self._untold(each, what, established, moment)
            elif what.stays or what.crossings:
                each.followed = None
                events += self._teller.happened(each, what, moment)
        if len(objects) < len(self._objects):
            for each in self._objects.values():
                if each.last_mono != moment.now:
                    each.miss()
        for key, stands, since in sightings.turned:
            self._objects[key].followed = None
            events += self._teller.turned(self._objects[key], stands, since, moment)
        return events

    def _untold(self, each: TrackedObject, what: Happened, established: bool, moment: Moment) -> list[ObjectEvent]:
        """Takes a sighting of an object that may now be certain."""
        each.crossed += what.crossings
        label = each.label
        if each.vote() != label:
            self._tracker.relabel(each.key, each.label)
        wanted = self._beginning.wanted[each.label]
        if not established or not wanted or not each.is_above(self._beginning.thresholds[each.label]):
            return []
        return self._teller.appeared(each, moment)


def _same(before: Mapping[str, object], after: Mapping[str, object]) -> dict[int, int]:
    """What has become of the indices of those that are the same in both."""
    places = {name: index for index, name in enumerate(after)}
    return {index: places[name] for index, name in enumerate(before) if after.get(name) == before[name]}


def _tracker_settings(settings: SceneSettings, labels: Sequence[str]) -> TrackerSettings:
    tracking = settings.tracking
    stationary = []
    for label in labels:
        own = settings.filters[label].stationary if label in settings.filters else None
        each = own or tracking.stationary or _NEVER
        stationary.append((each.after, each.lost_after))
    return TrackerSettings(tracking.confirm_frames, tracking.lost_after, tracking.max_objects, tuple(stationary))

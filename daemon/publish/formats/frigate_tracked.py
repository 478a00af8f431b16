"""The objects of Frigate's events where objects are tracked, and how many of them are where."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import orjson

from daemon.publish.formats.frigate_objects import Sighting, state_of
from daemon.records import EventType, FrameResult
from daemon.records.object_events import ObjectEvent
from daemon.records.objects import ObjectSnapshot

_BETTER_AFTER = 1.0  # seconds of frames between two messages that only have a better score
_AGAIN_AFTER = 60.0  # seconds of frames after which an `update` is sent though nothing has changed
_MOVED = 0.5  # box widths from where it appeared, from which it has moved for the first time


ALL = "all"
"""what stands for every class"""
Counted = tuple[str, str, bool]
"""camera or zone, class, and whether only those count that move"""


class TrackedObject:
    """From `object-appeared` to `object-left`."""

    def __init__(self, event: ObjectEvent, each: ObjectSnapshot, *, snapshots: bool) -> None:
        """`snapshots`: whether pictures are taken."""
        self.camera, self.label = event.camera, each.label
        self.stationary = each.stationary
        self._identity = {"id": each.id, "start_time": each.first_seen}
        self._snapshots = snapshots
        self._first = self._now = self._top = _sighting(each)
        self._heading = each.heading
        self._motionless = 0
        """frames since it stands"""
        self._position_changes = 0
        self._zones: list[str] = []
        self._entered: list[str] = []
        self._loitering: set[str] = set()
        """zones that it is in, but not for long enough to count"""
        self._changed = True
        """something has changed that is published at once"""
        self._told: dict[str, Any] | None = None

    def take(self, event: ObjectEvent, each: ObjectSnapshot, *, waits: bool) -> None:
        """Takes what has happened to it; `waits`: the zone counts from its first dwell time on."""
        self._heading = each.heading
        zone = event.zone
        self._wait(event, waits)
        if event.type in (EventType.OBJECT_STATIONARY, EventType.OBJECT_MOVING):
            self.stationary = event.type is EventType.OBJECT_STATIONARY
            self._motionless = 0
            self._position_changes += not self.stationary
            self._changed = True
        elif zone is not None and event.type is EventType.ZONE_LEFT and zone in self._zones:
            self._zones.remove(zone)
            self._changed = True
        elif (
            zone is not None
            and zone not in self._zones
            and (event.type is EventType.ZONE_DWELL or (event.type is EventType.ZONE_ENTERED and not waits))
        ):
            self._zones.append(zone)
            if zone not in self._entered:
                self._entered.append(zone)
            self._changed = True

    def _wait(self, event: ObjectEvent, waits: bool) -> None:
        """Notes where it waits for a zone to count."""
        if event.zone is None:
            return
        if event.type is EventType.ZONE_ENTERED and waits:
            self._loitering.add(event.zone)
            self._changed = True
        elif event.zone in self._loitering and event.type in (EventType.ZONE_DWELL, EventType.ZONE_LEFT):
            self._loitering.remove(event.zone)
            self._changed = True

    @property
    def zones(self) -> list[str]:
        """That it is in."""
        return self._zones

    def see(self, sighting: Sighting) -> None:
        """Takes a sighting."""
        self._now = sighting
        if sighting.score > self._top.score:
            self._top = sighting
        left, first = sighting.box[0], self._first.box[0]
        width = sighting.box[2] - left
        if not self._position_changes and abs(left - first) > _MOVED * width:
            self._position_changes = 1
            self._changed = True

    def look(self) -> bytes | None:
        """A frame was analysed; the message `new` or `update` where there is something to tell."""
        self._motionless += self.stationary
        if self._told is None:
            return self._tell("new")
        since = self._now.time - self._told["frame_time"]
        better = self._top.score > self._told["top_score"] and since >= _BETTER_AFTER
        if self._changed or better or since >= _AGAIN_AFTER:
            return self._tell("update")
        return None

    def begin(self) -> list[bytes]:
        """The message `new`, where it was not sent yet."""
        return [] if self._told is not None else [self._tell("new")]

    def end(self, each: ObjectSnapshot) -> bytes:
        """It has left; the message."""
        self._zones, self._loitering = [], set()
        return self._tell("end", end_time=each.last_seen, active=False)

    def _tell(self, kind: str, **more: object) -> bytes:
        state = {
            **self._identity,
            **state_of(self.camera, self.label, self._snapshots, self._now, self._top),
            "active": not self.stationary,
            "stationary": self.stationary,
            "motionless_count": self._motionless,
            "position_changes": self._position_changes,
            "current_zones": list(self._zones),
            "entered_zones": list(self._entered),
            "pending_loitering": bool(self._loitering),
            "current_estimated_speed": 0.0,
            "velocity_angle": self._heading or 0.0,
            **more,
        }
        before, self._told = self._told or state, state
        self._changed = False
        return orjson.dumps({"type": kind, "before": before, "after": state})


class TrackedObjects:
    """Of all cameras, by identifier."""

    def __init__(self) -> None:
        self._objects: dict[str, TrackedObject] = {}

    def event(self, event: ObjectEvent, *, snapshots: bool, waits: bool) -> list[bytes]:
        """Takes what has happened to one; the messages that it ends with. See TrackedObject."""
        if (each := event.object) is None:
            return []
        known = self._objects.get(each.id)
        if event.type is EventType.OBJECT_LEFT:
            if known is None:  # an earlier run has published it
                return [TrackedObject(event, each, snapshots=snapshots).end(each)]
            del self._objects[each.id]
            return [*known.begin(), known.end(each)]
        if known is None:
            known = self._objects[each.id] = TrackedObject(event, each, snapshots=snapshots)
        known.take(event, each, waits=waits)
        return []

    def result(self, result: FrameResult) -> list[bytes]:
        """Takes a frame of a tracked camera; the messages."""
        found = result.detections
        boxes = found.boxes.round().astype(int).tolist()
        for each, box, score in zip(result.objects or (), boxes, found.scores.tolist(), strict=True):
            if each is not None and (known := self._objects.get(each.id)) is not None:
                region = (0, 0, result.width, result.height)
                known.see(Sighting(result.captured_at, round(score, 4), tuple(box), region))
        there = [each for each in self._objects.values() if each.camera == result.camera]
        return [payload for each in there if (payload := each.look()) is not None]

    def counts(self) -> Counter[Counted]:
        """How many there are."""
        counts: Counter[Counted] = Counter()
        for each in self._objects.values():
            for place, label in itertools.product((each.camera, *each.zones), (each.label, ALL)):
                counts[place, label, False] += 1
                counts[place, label, True] += not each.stationary
        return counts


def _sighting(each: ObjectSnapshot) -> Sighting:
    x1, y1, x2, y2 = (round(value) for value in each.box)
    return Sighting(each.last_seen, round(each.score, 4), (x1, y1, x2, y2), (0, 0, each.width, each.height))

"""What must not be forgotten of objects, zones and lines when the daemon ends: as values that the outbox keeps. Pure.

Values change in the transaction of the event that changes them. So every `object-appeared` has its
`object-left`, be it at the next start, and totals of lines are those of the events that were sent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import orjson

from daemon.records import EventType
from daemon.records.object_events import ObjectEvent
from daemon.records.objects import Direction, LeftReason, ObjectSnapshot

Kept = dict[str, bytes | None]
"""values by key; None: to be forgotten"""
_OBJECT, _TOTAL, _SINCE, _CROWDED = "object", "total", "since", "crowded"


class ObjectLedger:
    """Not thread-safe."""

    def __init__(self, kept: Mapping[str, bytes]) -> None:
        """`kept` by earlier runs."""
        self._objects: dict[str, dict[str, Any]] = {}
        """by key; what `unfinished` needs of objects that have not left"""
        self._totals: dict[tuple[str, str], dict[tuple[Direction, str], int]] = {}
        self._since: dict[tuple[str, str], float] = {}
        self._crowded: set[tuple[str, str]] = set()
        """zones of cameras"""
        self._begun: set[tuple[str, str]] = set()
        """lines that are counted since a moment of this run"""
        for key, value in kept.items():
            kind, _, rest = key.partition("/")
            if kind == _OBJECT:
                self._objects[key] = orjson.loads(value)
            elif kind == _TOTAL:
                camera, line, direction, label = rest.split("/", 3)
                self._totals.setdefault((camera, line), {})[Direction(direction), label] = int(value)
            elif kind == _SINCE:
                camera, line = rest.split("/", 1)
                self._since[camera, line] = float(value)
            elif kind == _CROWDED:
                camera, zone = rest.split("/", 1)
                self._crowded.add((camera, zone))

    def totals(self) -> dict[str, dict[tuple[str, Direction, str], int]]:
        """Crossings by camera, and by line, direction and label."""
        result: dict[str, dict[tuple[str, Direction, str], int]] = {}
        for (camera, line), of in self._totals.items():
            result.setdefault(camera, {}).update({(line, *key): count for key, count in of.items()})
        return result

    def unfinished(self, now: float, cameras: Collection[str] | None = None) -> list[ObjectEvent]:
        """What was left open by something that was not stopped: objects leave, zones are cleared; `now` in UTC.

        That was an earlier run; or the process of these cameras.
        """
        found = [each for each in self._objects.values() if cameras is None or each["camera"] in cameras]
        inside = Counter(
            (each["camera"], zone, _snapshot(each["object"]).label) for each in found for zone in each["entered"]
        )
        events = []
        for each in found:
            snapshot = _snapshot(each["object"])
            for zone, entered in each["entered"].items():
                key = each["camera"], zone, snapshot.label
                inside[key] -= 1
                rest = tuple(name for name in snapshot.zones if name != zone)
                snapshot = replace(snapshot, zones=rest)
                seconds = max(0.0, snapshot.age - entered)
                kind, last = EventType.ZONE_LEFT, snapshot.last_seen
                event = ObjectEvent(each["camera"], kind, last, snapshot.label, inside[key], object=snapshot, zone=zone)
                events.append(replace(event, seconds=seconds))
            event = ObjectEvent(each["camera"], EventType.OBJECT_LEFT, now, snapshot.label, object=snapshot)
            events.append(replace(event, seconds=snapshot.age, left_because=LeftReason.RESTART))
        kind = EventType.ZONE_CLEARED
        crowded = [area for area in sorted(self._crowded) if cameras is None or area[0] in cameras]
        return [*events, *(ObjectEvent(camera, kind, now, count=0, zone=zone) for camera, zone in crowded)]

    def has_crowded(self, event: ObjectEvent) -> bool:
        """Whether the zone of an event is crowded."""
        return (event.camera, event.zone) in self._crowded

    def note(self, event: ObjectEvent) -> Kept:
        """Takes an event; what is to be kept with it."""
        kept: Kept = {}
        if event.object is not None:
            key = f"{_OBJECT}/{event.camera}/{event.object.id}"
            known = self._objects.pop(key, None)
            if event.type is EventType.OBJECT_LEFT:
                kept[key] = None
            else:
                entered = {} if known is None else known["entered"]
                if event.type is EventType.ZONE_ENTERED:
                    age = event.object.age - (event.object.last_seen - event.time)
                    entered = {**entered, event.zone: age}
                elif event.type is EventType.ZONE_LEFT:
                    entered = {zone: at for zone, at in entered.items() if zone != event.zone}
                self._objects[key] = {"camera": event.camera, "object": event.object, "entered": entered}
                kept[key] = orjson.dumps(self._objects[key])
        if event.zone is not None and event.type in (EventType.ZONE_CROWDED, EventType.ZONE_CLEARED):
            crowded = event.type is EventType.ZONE_CROWDED
            (self._crowded.add if crowded else self._crowded.discard)((event.camera, event.zone))
            kept[f"{_CROWDED}/{event.camera}/{event.zone}"] = b"1" if crowded else None
        if event.line is not None and event.direction is not None and event.label is not None:
            totals = self._totals.setdefault((event.camera, event.line), {})
            totals[event.direction, event.label] = event.total or 0
            kept[_total_key(event.camera, event.line, event.direction, event.label)] = b"%d" % (event.total or 0)
        return kept

    def line(self, camera: str, line: str, now: float) -> tuple[float, Kept]:
        """Since when a line is counted, UTC; what is to be kept, where that is `now`."""
        if (since := self._since.get((camera, line))) is not None:
            return since, {}
        self._since[camera, line] = now
        self._begun.add((camera, line))
        return now, {f"{_SINCE}/{camera}/{line}": repr(now).encode()}

    def correct(self, seconds: float) -> Kept:
        """The system clock was set by so much; what is to be kept."""
        for key in self._begun:
            self._since[key] += seconds
        return {f"{_SINCE}/{camera}/{line}": repr(self._since[camera, line]).encode() for camera, line in self._begun}

    def forget_line(self, camera: str, line: str) -> Kept:
        """Its totals were reset, or it was removed; what is to be forgotten."""
        kept: Kept = {}
        self._begun.discard((camera, line))
        if self._since.pop((camera, line), None) is not None:
            kept[f"{_SINCE}/{camera}/{line}"] = None
        for direction, label in self._totals.pop((camera, line), {}):
            kept[_total_key(camera, line, direction, label)] = None
        return kept

    def lines(self) -> set[tuple[str, str]]:
        """Camera and name of the lines that something is kept of."""
        return {*self._since, *self._totals}


def _total_key(camera: str, line: str, direction: Direction, label: str) -> str:
    return f"{_TOTAL}/{camera}/{line}/{direction.value}/{label}"


def _snapshot(values: Any) -> ObjectSnapshot:
    """One that was kept as JSON, or is one."""
    if isinstance(values, ObjectSnapshot):
        return values
    lists = {key: tuple(values[key]) for key in ("box", "zones", "visited")}
    return ObjectSnapshot(**{**values, **lists})

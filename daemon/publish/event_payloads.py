"""Events, zones and lines turned into the JSON bytes of their messages."""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from daemon.publish.event_messages import EventObject, EventPayload, LinePayload, ZonePayload
from daemon.publish.payloads import rfc3339
from daemon.records import Event
from daemon.records.objects import LineState, ObjectEvent, ObjectSnapshot, Occupancy, ZoneState


def event(device: str, record: Event, *, tracking: bool = False) -> bytes:
    """The message of an event, as it is when it reaches the broker at once.

    `tracking`: whether the camera's objects are followed; then the fields of what is told of objects are there, null.
    """
    payload: EventPayload = {
        "schema": 1,
        "id": record.id,
        "device": device,
        "camera": record.camera,
        "type": record.type,
        "time": rfc3339(record.time),
        "label": record.label,
        "count": record.count,
        "state": record.state,
        "reason": record.reason,
        "replayed": False,
    }
    if isinstance(record, ObjectEvent) or tracking:
        told = record if isinstance(record, ObjectEvent) else ObjectEvent(record.camera, record.type, record.time)
        payload["zone"] = told.zone
        payload["line"] = told.line
        payload["direction"] = told.direction
        payload["seconds"] = None if told.seconds is None else round(told.seconds, 3)
        payload["total"] = told.total
        payload["uncertain"] = told.uncertain
        payload["object"] = None if told.object is None else _object(told.object)
        payload["reason"] = told.left_because or record.reason
    return orjson.dumps(payload)


def _object(each: ObjectSnapshot) -> EventObject:
    return {
        "id": each.id,
        "number": each.number,
        "label": each.label,
        "score": round(each.score, 4),
        "top_score": round(each.top_score, 4),
        "box": [round(value, 2) for value in each.box],
        "frame": {"width": each.width, "height": each.height},
        "first_seen": rfc3339(each.first_seen),
        "last_seen": rfc3339(each.last_seen),
        "stationary": each.stationary,
        "zones": list(each.zones),
        "visited": list(each.visited),
        "heading": each.heading,
        "sequence": each.sequence,
    }


def zone(device: str, state: ZoneState, occupancy: Occupancy, labels: Iterable[str], now: float) -> bytes:
    """The retained message of a zone, at a time (UTC, seconds); `labels` are those that can be in it."""
    payload: ZonePayload = {
        "schema": 1,
        "device": device,
        "camera": state.camera,
        "zone": state.zone,
        "time": rfc3339(now),
        "occupied": occupancy.total > 0,
        "counts": {**dict.fromkeys(labels, 0), **occupancy.counts},
        "active": occupancy.active,
        "stationary": occupancy.stationary,
    }
    return orjson.dumps(payload)


def line(device: str, state: LineState, since: float, labels: Iterable[str], now: float) -> bytes:
    """The retained message of a line; times are UTC in seconds, `labels` those that can cross it."""
    none = dict.fromkeys(labels, 0)
    inwards, outwards = state.totals or ({}, {})
    payload: LinePayload = {
        "schema": 1,
        "device": device,
        "camera": state.camera,
        "line": state.line,
        "time": rfc3339(now),
        "since": rfc3339(since),
        "in": {**none, **inwards},
        "out": {**none, **outwards},
    }
    return orjson.dumps(payload)

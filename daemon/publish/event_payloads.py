"""Events, zones and lines turned into the JSON bytes of their messages."""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from daemon.publish.event_messages import EventPayload, LinePayload, ZonePayload
from daemon.records import Event
from daemon.records.object_events import ObjectEvent
from daemon.records.objects import LineState, Occupancy, ZoneState
from daemon.records.wire import rfc3339


def event(device: str, record: Event, *, tracking: bool = False) -> bytes:
    """The message of an event, as it is when it reaches the broker at once.

    `tracking`: whether the camera's objects are followed; then the fields of object events are there, null.
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
        "reason": record.why,
        "replayed": False,
    }
    whole: dict[str, object] = {**payload}
    if tracking:
        whole.update(ObjectEvent(record.camera, record.type, record.time).fields())
    whole.update(record.fields())
    return orjson.dumps(whole)


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

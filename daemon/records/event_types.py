"""Every kind of event."""

from __future__ import annotations

from enum import Enum

from daemon.records.event import Event
from daemon.records.object_events import ObjectEvent


class EventType(str, Enum):
    """What kind of thing has happened."""

    record: type[Event]
    """how it is handed on; another than Event where it has fields of its own"""

    def __new__(cls, name: str, record: type[Event] = Event) -> EventType:
        """A member."""
        made = str.__new__(cls, name)
        made._value_ = name
        made.record = record
        return made

    CAMERA_STATE = "camera-state"
    """a camera's state or its reason has changed"""
    APPEARED = "appeared"
    """objects of a class are seen that were not there before"""
    GONE = "gone"
    """objects of a class are no longer seen"""
    OBJECT_APPEARED = "object-appeared", ObjectEvent
    """an object was confirmed: seen in `confirm_frames` frames"""
    OBJECT_STATIONARY = "object-stationary", ObjectEvent
    OBJECT_MOVING = "object-moving", ObjectEvent
    """it was stationary, and moves again"""
    OBJECT_LEFT = "object-left", ObjectEvent
    ZONE_ENTERED = "zone-entered", ObjectEvent
    ZONE_LEFT = "zone-left", ObjectEvent
    ZONE_DWELL = "zone-dwell", ObjectEvent
    """an object has been in the zone for so long"""
    ZONE_CROWDED = "zone-crowded", ObjectEvent
    """there are more objects in it than its `max_count`"""
    ZONE_CLEARED = "zone-cleared", ObjectEvent
    """there are no longer more"""
    LINE_CROSSED = "line-crossed", ObjectEvent

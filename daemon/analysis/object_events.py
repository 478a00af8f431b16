"""What can happen to an object that is followed, and how the object was then."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class ObjectEventType(str, Enum):
    """What has happened."""

    APPEARED = "object-appeared"
    """seen often enough to be told of"""
    STATIONARY = "object-stationary"
    MOVING = "object-moving"
    """it stood, and moves again"""
    LEFT = "object-left"
    ENTERED = "zone-entered"
    ZONE_LEFT = "zone-left"
    DWELL = "zone-dwell"
    """it has been in the zone for so long"""
    CROWDED = "zone-crowded"
    """there are more objects than `max_count`"""
    CLEARED = "zone-cleared"
    """there are no longer more"""
    CROSSED = "line-crossed"


class LeftReason(str, Enum):
    """Why an object is no longer there."""

    UNSEEN = "unseen"
    """frames came, and it was not in them"""
    CAMERA_LOST = "camera-lost"
    """no frames came"""
    DISABLED = "disabled"
    """the camera was disabled or removed"""
    RECONFIGURED = "reconfigured"
    SHUTDOWN = "shutdown"
    RESTART = "restart"
    """the daemon was not stopped but ended, and has started again"""


class Direction(str, Enum):
    """Which way a line was crossed."""

    IN = "in"
    OUT = "out"


@dataclass(frozen=True, slots=True)
class ObjectSnapshot:
    """How an object was when something happened."""

    id: str
    number: int
    """another identifier, for formats that know numbers alone"""
    label: str
    score: float
    top_score: float
    box: tuple[float, float, float, float]
    """of its last sighting: x1, y1, x2, y2 in pixels of the frame"""
    width: int
    """of the frame, pixels"""
    height: int
    """of the frame, pixels"""
    first_seen: float
    """UTC, seconds since the epoch"""
    last_seen: float
    """UTC, seconds since the epoch"""
    stationary: bool
    zones: tuple[str, ...]
    """that it is in, in the order entered"""
    visited: tuple[str, ...]
    """that it ever was in, in the order of first entering"""
    heading: float | None
    """degrees clockwise from up, of the last second; None where it hardly moved"""
    sequence: int
    """of the frame of its last sighting"""


@dataclass(frozen=True, slots=True)
class ObjectEvent:
    """Something that has happened to an object or in a zone."""

    type: ObjectEventType
    time: float
    """when it became true, UTC, seconds since the epoch"""
    label: str | None
    object: ObjectSnapshot | None
    """None for what happens to a zone"""
    count: int | None = None
    """objects in the zone: of that label, or all of them for `zone-crowded` and `zone-cleared`"""
    zone: str | None = None
    line: str | None = None
    direction: Direction | None = None
    total: int | None = None
    """crossings of the line in that direction, of that label"""
    uncertain: bool = False
    """it was not seen for a while as it crossed"""
    seconds: float | None = None
    """in the state or in the zone"""
    zones: tuple[str, ...] = ()
    """of `object-left`: that it had visited"""
    reason: LeftReason | None = None
    """of `object-left`"""

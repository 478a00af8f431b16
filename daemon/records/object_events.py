"""Events of objects that are followed, of zones and of lines: their record, and what their messages have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field
from typing_extensions import TypedDict

from daemon.records.event import Event
from daemon.records.objects import Direction, LeftReason, ObjectSnapshot
from daemon.records.wire import Count, Size, Time, documented, rfc3339

if TYPE_CHECKING:
    from daemon.records import Reason


@documented
class EventObject(TypedDict):
    """An object that is followed, as it was at its last sighting before the event."""

    id: str
    """The same in all messages about the object, and never used again."""
    number: Annotated[int, Field(ge=0, lt=2**53)]
    """The same for formats that know numbers alone."""
    label: str
    """Class name."""
    score: Annotated[float, Field(ge=0, le=1)]
    """Of its last sighting; 4 decimals."""
    top_score: Annotated[float, Field(ge=0, le=1)]
    """The best of all its sightings; 4 decimals."""
    box: Annotated[list[float], Field(min_length=4, max_length=4)]
    """[x1, y1, x2, y2] of its last sighting, pixels of the frame; 2 decimals."""
    frame: Size
    """Size of the frame, which the box refers to."""
    first_seen: Time
    """Its first sighting, before it was certain."""
    last_seen: Time
    """Its last sighting; of one that has left, the truth about when it was there."""
    stationary: bool
    """Whether it stands."""
    zones: list[str]
    """That it is in, in the order entered."""
    visited: list[str]
    """That it ever was in, in the order of first entering."""
    heading: Annotated[float, Field(ge=0, le=360)] | None
    """Degrees clockwise from up, of the last second; null where it hardly moved."""
    sequence: Annotated[int, Field(ge=1)]
    """Of the frame of its last sighting."""


@documented
class ObjectFields(TypedDict):
    """What these events have beside the fields of every event."""

    zone: str | None
    """Name of the zone; null where it is about none. This and what follows only where `tracking` is on."""
    line: str | None
    """Name of the line; null where it is about none."""
    direction: Direction | None
    """Which way the line was crossed."""
    seconds: Annotated[float, Field(ge=0)] | None
    """How long the object was seen, was in the state that ended, or in the zone; null where that does not apply."""
    total: Count | None
    """Crossings of the line in that direction, of that class."""
    uncertain: bool
    """The object was not seen for more than a second as it crossed."""
    object: EventObject | None
    """The object as it was then; null where the event is about none."""


@dataclass(frozen=True, slots=True)
class ObjectEvent(Event):
    """Something that has happened to an object, in a zone or at a line. `count`: objects in the zone, of that label, or
    all of them for `zone-crowded` and `zone-cleared`; `label` is None for these two."""

    Fields: ClassVar[Any] = ObjectFields

    object: ObjectSnapshot | None = None
    """None for what happens to a zone"""
    zone: str | None = None
    line: str | None = None
    direction: Direction | None = None
    """of `line-crossed`"""
    total: int | None = None
    """crossings of the line in that direction, of that label"""
    uncertain: bool = False
    """it was not seen for a while as it crossed"""
    seconds: float | None = None
    """in the state or in the zone that the event is about"""
    left_because: LeftReason | None = None
    """of `object-left`"""

    @property
    def why(self) -> Reason | LeftReason | None:
        """Why an object has left."""
        return self.left_because or self.reason

    def fields(self) -> ObjectFields:
        """See Event."""
        return {
            "zone": self.zone,
            "line": self.line,
            "direction": self.direction,
            "seconds": None if self.seconds is None else round(self.seconds, 3),
            "total": self.total,
            "uncertain": self.uncertain,
            "object": None if self.object is None else _object(self.object),
        }


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

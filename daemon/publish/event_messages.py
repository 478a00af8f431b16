"""The shapes of events, and of what is retained of zones and lines; see `messages`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import NotRequired, TypedDict

from daemon.publish.messages import Count, Size, Time, documented
from daemon.records import CameraState, EventType, Reason
from daemon.records.objects import Direction, LeftReason


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
class EventPayload(TypedDict):
    """Something that has happened; sent at least once, in order for each camera, QoS 1."""

    schema: Literal[1]
    """Version of this message."""
    id: str
    """Unique; a message that comes twice carries the same."""
    device: str
    """Name of the device."""
    camera: str
    """Name of the camera."""
    type: EventType
    """What has happened."""
    time: Time
    """When it became true, also where the message comes later."""
    label: str | None
    """Class name; null for camera states, and for zones that are crowded or cleared."""
    count: Count | None
    """Objects of that class in the frame, or in the zone; null where nothing is counted."""
    state: CameraState | None
    """Where the camera stands now; null but for camera states."""
    reason: Reason | LeftReason | None
    """Why it is not streaming, or why an object has left; null where there is nothing to say."""
    replayed: bool
    """It comes late: it was written while there was no broker, or before the last connection."""
    zone: NotRequired[str | None]
    """Name of the zone; null where it is about none. This and what follows only where `tracking` is on."""
    line: NotRequired[str | None]
    """Name of the line; null where it is about none."""
    direction: NotRequired[Direction | None]
    """Which way the line was crossed."""
    seconds: NotRequired[Annotated[float, Field(ge=0)] | None]
    """How long the object was seen, was in the state that ended, or in the zone; null where that does not apply."""
    total: NotRequired[Count | None]
    """Crossings of the line in that direction, of that class."""
    uncertain: NotRequired[bool]
    """The object was not seen for more than a second as it crossed."""
    object: NotRequired[EventObject | None]
    """The object as it was then; null where the event is about none."""


@documented
class ZonePayload(TypedDict):
    """Who is in a zone; retained, on change and at most once a second."""

    schema: Literal[1]
    """Version of this message."""
    device: str
    """Name of the device."""
    camera: str
    """Name of the camera."""
    zone: str
    """Name of the zone."""
    time: Time
    """When this message was made."""
    occupied: bool
    """Whether anything is in it."""
    counts: dict[str, Count]
    """Objects in it by class, those too that are not seen just now; every class that can be there is given."""
    active: dict[str, Count]
    """Of them those that move."""
    stationary: dict[str, Count]
    """Of them those that stand."""


_Ways = TypedDict(
    "_Ways",
    {
        "in": Annotated[
            dict[str, Count], Field(description="Crossings inwards by class; every class that can cross is given.")
        ],
        "out": Annotated[dict[str, Count], Field(description="Crossings outwards by class, likewise.")],
    },
)
"""written as a call because `in` is a keyword"""


@documented
class LinePayload(_Ways):
    """How often a line was crossed; retained, on change and at most once a second."""

    schema: Literal[1]
    """Version of this message."""
    device: str
    """Name of the device."""
    camera: str
    """Name of the camera."""
    line: str
    """Name of the line."""
    time: Time
    """When this message was made."""
    since: Time
    """Since when crossings are counted; a start of the daemon changes nothing about it."""

"""The shapes of events, and of what is retained of zones and lines; see `messages`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, GetJsonSchemaHandler, TypeAdapter
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from typing_extensions import TypedDict

from daemon.records import CameraState, EventType, Reason
from daemon.records.objects import LeftReason
from daemon.records.wire import Count, Time, documented


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


class _WithFieldsOfRecords:
    """Has the schema of an event show the fields that some kinds have of their own; none of them is required."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        made = handler(schema)
        whole = handler.resolve_ref_schema(made)
        for fields in dict.fromkeys(kind.record.Fields for kind in EventType):
            if fields is not None:
                own = handler.resolve_ref_schema(handler(TypeAdapter(fields).core_schema))
                whole["properties"] = {**whole["properties"], **own["properties"]}
        return made


AnyEventPayload = Annotated[EventPayload, _WithFieldsOfRecords()]
"""The message of an event of any kind."""


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

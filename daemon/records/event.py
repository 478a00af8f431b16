"""What all events have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

if TYPE_CHECKING:
    from daemon.records import CameraState, Reason
    from daemon.records.event_types import EventType
    from daemon.records.objects import LeftReason


@dataclass(frozen=True, slots=True)
class Event:
    """Something that has happened; it reaches the broker at least once."""

    Fields: ClassVar[Any] = None
    """what its message has beside the fields of every event: a TypedDict"""

    camera: str
    type: EventType
    time: float
    """when it was seen, UTC, seconds since the epoch"""
    label: str | None = None
    """class name; None for camera states"""
    count: int | None = None
    """objects of that class in the frame; None for camera states"""
    state: CameraState | None = None
    """only of camera states"""
    reason: Reason | None = None
    """only of camera states, where there is one"""
    id: str = field(default_factory=lambda: str(uuid4()))
    """by which a subscriber drops duplicates"""
    clock: float | None = field(default=None, compare=False)
    """seconds by which the system clock that its times are of was ahead of time.monotonic(); None: as it is now"""

    @property
    def why(self) -> Reason | LeftReason | None:
        """`reason` of its message."""
        return self.reason

    def fields(self) -> Mapping[str, object]:
        """`Fields` of its message, fit for JSON."""
        return {}

"""Objects that are followed: how they are, what can happen to them, and who is in a zone."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


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
    """the daemon, or the process of the camera's shard, was not stopped but ended, and has started again"""


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
    age: float = 0.0
    """seconds from its first to its last sighting, whatever was done to the system clock"""


@dataclass(frozen=True, slots=True)
class Occupancy:
    """Objects in one zone, by label."""

    counts: dict[str, int] = field(default_factory=dict)
    active: dict[str, int] = field(default_factory=dict)
    """of them those that move"""
    stationary: dict[str, int] = field(default_factory=dict)
    """of them those that do not"""

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class ZoneState:
    """Who is in a zone, as the broker keeps it."""

    camera: str
    zone: str
    occupancy: Occupancy | None
    """None: there is no such zone any more"""


@dataclass(frozen=True, slots=True)
class LineState:
    """How often a line was crossed, as the broker keeps it."""

    camera: str
    line: str
    totals: tuple[dict[str, int], ...] | None
    """crossings by label, in and out; None: there is no such line any more"""
    begins: bool = False
    """the count restarts now"""

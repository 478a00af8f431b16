"""Which object a detection is, and how many objects there are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Followed:
    """Which object a detection is a sighting of."""

    id: str
    number: int
    """the same for formats that know numbers alone"""
    stationary: bool
    zones: tuple[str, ...]
    """that it is in, in the order entered"""


@dataclass(frozen=True, slots=True)
class ObjectCounts:
    """Of the objects of one camera."""

    tracked: int
    """that are certain and have not left"""
    lost: int
    """of them those that were not in the last frame"""
    stationary: int
    """of them those that stand"""
    refused: int
    """detections, ever, that would have begun an object beyond `max_objects`"""

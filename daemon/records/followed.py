"""Which object a detection is, of which objects pictures are taken, and how many objects there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Followed(NamedTuple):
    """Which object a detection is a sighting of. A tuple, because there are dozens a frame."""

    id: str
    number: int
    """the same for formats that know numbers alone"""
    stationary: bool
    zones: tuple[str, ...]
    """that it is in, in the order entered"""


@dataclass(frozen=True, slots=True)
class Portrait:
    """A picture of one object that is worth taking: it is the first one, or better than the last."""

    object: str
    """its identifier"""
    index: int
    """of its detection in the frame"""
    first: bool


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

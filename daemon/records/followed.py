"""Which object a detection is."""

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

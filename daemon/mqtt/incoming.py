"""Types of what is received from the broker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Received:
    """One message from the broker; its content is untrusted."""

    topic: str
    payload: bytes
    """cut off one byte after Subscription.max_payload"""
    retained: bool
    """the broker had kept it from before the subscription"""
    response_topic: str | None
    """MQTT 5 only"""
    correlation: bytes | None
    """correlation data, to be sent back with the response; MQTT 5 only"""


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a link subscribes to at every connect, at QoS 1."""

    patterns: tuple[str, ...]
    """topic filters"""
    handle: Callable[[Received], object]
    """called in the link's thread; must return at once and raise nothing"""
    max_payload: int
    """bytes of the longest payload that is of interest"""
    once: tuple[str, ...] = ()
    """topic filters for the first connection alone: a broker that allows no such filter may end the connection"""

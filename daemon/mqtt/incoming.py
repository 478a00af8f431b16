"""What comes from the broker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Received:
    """One message from the broker, as it came; nothing in it is to be trusted."""

    topic: str
    payload: bytes
    """at most Subscription.largest bytes and one: longer ones are cut there"""
    retained: bool
    """the broker had kept it from before the subscription"""
    response_topic: str | None
    """MQTT 5 only"""
    correlation: bytes | None
    """MQTT 5 only: to be sent back with the answer"""


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a link subscribes to at every connect, QoS 1."""

    patterns: tuple[str, ...]
    """topic filters"""
    handle: Callable[[Received], None]
    """called in the link's thread; returns at once and raises nothing"""
    largest: int
    """bytes of a payload that is looked at"""

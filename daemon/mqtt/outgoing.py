"""What is handed to a connection to be sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from daemon.mqtt.topics import Topic


@dataclass(frozen=True, slots=True)
class Presence:
    """What tells others whether this client is there: the last will, and what is said on coming and going."""

    topic: Topic
    online: bytes
    offline: bytes


@dataclass(frozen=True, slots=True)
class Message:
    """One message of its own kind, which is not one of many."""

    topic: str
    payload: bytes
    content_type: str
    """MIME; with MQTT 5 only"""
    correlation: bytes | None = None
    """what an answer sends back; with MQTT 5 only"""
    retain: bool = False
    """the broker keeps it for those who come later"""


class Handover(Enum):
    """What became of a message that was handed to the network."""

    TAKEN = "taken"
    NO_ROOM = "no room"
    """nothing is kept of it: there is no connection, or too much is waiting for the broker already"""
    TOO_LARGE = "too large"
    """the broker does not take it, now or later; that is counted and logged"""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the broker will not have a message."""

    reason: str
    """the broker's meaning"""
    final: bool
    """it will not have it later either"""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message that the broker is to acknowledge."""

    connection: object
    """which of those that there were; only to be compared"""
    mid: int
    """MQTT's packet identifier, unique among what that connection has under way"""


Handed = tuple[str, float]
"""Camera of a frame whose message is handed to the network, and when it was captured, time.monotonic()."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Who is told, in the link's thread, what became of messages; by itself nobody."""

    told: Callable[[Delivery, Refusal | None], None] = lambda _delivery, _refusal: None
    """of a message that the broker has, or has refused; of others' messages too"""
    awaited: Callable[[], bool] = lambda: False
    """whether any acknowledgement is waited for"""
    written: Callable[[Sequence[Handed]], None] = lambda _frames: None
    """of frames whose messages the socket has"""
    lost: Callable[[Sequence[Handed]], None] = lambda _frames: None
    """of frames whose messages it had not when the connection ended"""
    too_large: Callable[[], None] = lambda: None
    """of a message that the broker does not take because of its size; in the thread that hands it over or the link's"""

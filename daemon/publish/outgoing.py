"""What is handed to a connection to be sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from daemon.publish.topics import Topic


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


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message that the broker is to acknowledge."""

    connection: object
    """which of those that there were; only to be compared"""
    mid: int
    """MQTT's packet identifier, unique among what that connection has under way"""


Handed = tuple[str, float]
"""Camera of a frame whose message is handed to the network, and when it was captured, time.monotonic()."""


def _nobody(_of: Sequence[Handed]) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Who is told, in the thread `mqtt`, what became of messages."""

    told: Callable[[Delivery, str], None]
    """of a message that the broker has, and why it refused it, "" if it did not; of others' messages too"""
    awaited: Callable[[], bool]
    """whether any acknowledgement is waited for"""
    written: Callable[[Sequence[Handed]], None] = _nobody
    """of frames whose messages have been written to the connection"""
    lost: Callable[[Sequence[Handed]], None] = _nobody
    """of frames whose messages had not been when it broke"""

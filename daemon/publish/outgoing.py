"""What is handed to a connection to be sent."""

from __future__ import annotations

from collections.abc import Callable
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


@dataclass(frozen=True, slots=True)
class Acknowledgements:
    """Who waits for those of messages from `Link.deliver`."""

    told: Callable[[Delivery, str], None]
    """of a message that the broker has, and why it refused it, "" if it did not; of others' messages too"""
    awaited: Callable[[], bool]
    """whether any is waited for"""

"""Types of what is sent, and of what becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from daemon.mqtt.topics import Topic


@dataclass(frozen=True, slots=True)
class Presence:
    """Tells others whether this client is connected; `offline` is also its last will."""

    topic: Topic
    online: bytes
    offline: bytes


@dataclass(frozen=True, slots=True)
class Message:
    """A message with properties of its own."""

    topic: str
    payload: bytes
    content_type: str
    """MIME type; MQTT 5 only"""
    correlation: bytes | None = None
    """correlation data of a response; MQTT 5 only"""
    retain: bool = False
    user_properties: tuple[tuple[str, str], ...] = ()
    """names and values; MQTT 5 only"""


class Handover(Enum):
    """Result of handing a message to the network."""

    TAKEN = "taken"
    NO_ROOM = "no room"
    """not connected, or too many messages wait for the broker; try again"""
    TOO_LARGE = "too large"
    """larger than the broker takes; counted and logged, do not try again"""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The broker's refusal of one message."""

    reason: str
    """the broker's words"""
    final: bool
    """the broker will refuse the message again"""


@dataclass(frozen=True, slots=True)
class Delivery:
    """Identifies a message that the broker is to acknowledge."""

    connection: object
    """for comparison only"""
    mid: int
    """packet identifier, unique among the unacknowledged messages of the connection"""


class FrameReceipt(NamedTuple):
    """Identifies the frame whose message is handed to the network."""

    camera: str
    captured: float
    """time.monotonic()"""


@dataclass(frozen=True, slots=True)
class DeliveryCallbacks:
    """Report what becomes of messages, in the link's thread unless noted otherwise. The defaults ignore it."""

    on_acknowledged: Callable[[Delivery, Refusal | None], None] = lambda _delivery, _refusal: None
    """a message was acknowledged or refused; also called for messages of others"""
    is_awaiting: Callable[[], bool] = lambda: False
    """whether an acknowledgement is of interest"""
    on_written: Callable[[Sequence[FrameReceipt]], None] = lambda _receipts: None
    """messages were written to the socket"""
    on_lost: Callable[[Sequence[FrameReceipt]], None] = lambda _receipts: None
    """messages were not written before the connection ended"""
    on_too_large: Callable[[], None] = lambda: None
    """a message is larger than the broker takes; also called in the thread that hands it over"""

"""What a format is: it gets everything that is published, and returns its own messages.

A new one needs a module here whose name is its key in the configuration, with its class as FORMAT, and that key in
daemon/config/formats.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from daemon.config.schema import Config
from daemon.control.commands import CommandRequest, CommandScope
from daemon.control.settings import Setting, Value
from daemon.mqtt.incoming import Received
from daemon.mqtt.outgoing import Message, Presence
from daemon.records import DaemonInfo, DaemonStats, Event, FrameResult

FrameMessage = tuple[str, bytes]
"""Topic and payload of a message with QoS 0, not retained."""


class DeliveryKind(Enum):
    """How a message reaches the broker."""

    RETAINED = "retained"
    """the latest of its topic, kept by the broker, and sent again after every reconnect"""
    EVENT = "event"
    """through the outbox"""
    CLAIMED = "claimed"
    """without a payload: where something of a camera is retained by other means or later, to be cleared with it"""
    CLEARED = "cleared"
    """without a payload: clears what an earlier run has retained, once"""


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """One message."""

    topic: str
    payload: bytes = b""
    """empty: clears the retained message"""
    kind: DeliveryKind = DeliveryKind.RETAINED
    camera: str | None = None
    """the retained message is cleared when this camera is removed; None where the format does so itself"""


class Format:
    """Publishes nothing for what it does not override. For one thread; a slow format delays only the other formats."""

    root: str
    """its topics are this one or below it, except those below the device's own"""
    presence: Presence | None = None
    """whether the daemon is online, on a connection of its own, since each has one last will"""
    patterns: tuple[str, ...] = ()
    """topic filters of its commands, and of retained messages that an earlier run may have left"""

    def configure(self, config: Config, info: DaemonInfo) -> Iterable[OutgoingMessage]:
        """At the start and at every change: the cameras and their classes."""
        return ()

    def result(self, result: FrameResult) -> Iterable[OutgoingMessage]:
        """The detections of one frame; a camera's frames come in their order."""
        return ()

    def event(self, event: Event) -> Iterable[OutgoingMessage]:
        """An event; it comes before the result of its frame."""
        return ()

    def setting(self, camera: str, which: Setting, value: Value) -> Iterable[OutgoingMessage]:
        """The value of a camera's setting."""
        return ()

    def frame(self, result: FrameResult) -> Iterable[FrameMessage]:
        """The messages of one frame that is published."""
        return ()

    def stats(self, report: DaemonStats) -> Iterable[FrameMessage]:
        """The statistics; every `mqtt.stats_every` seconds."""
        return ()

    def pictures(self, camera: str, labels: frozenset[str], jpeg: bytes) -> Iterable[Message]:
        """A snapshot, and the classes whose appearance it was taken of."""
        return ()

    def request(self, scope: CommandScope, message: Received) -> CommandRequest | None:
        """A parsed command; None where the topic is none of its commands."""
        return None

    def is_echo(self, topic: str) -> bool:
        """Whether the topic is of a message of its own, of this run or an earlier one, which the broker sends back.

        For any thread, as `pictures` and `request` are.
        """
        return False

    def echo(self, message: Received) -> Iterable[OutgoingMessage]:
        """Such a message: cleared if an earlier run has retained it and it is no longer valid."""
        return ()

    def close(self) -> Iterable[OutgoingMessage]:
        """What is left to publish at the end."""
        return ()

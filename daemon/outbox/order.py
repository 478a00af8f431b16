"""Schedules what the outbox sends next, and keeps track of what is unacknowledged. Pure: no clock, disk or network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from daemon.mqtt.outgoing import Delivery

RETRY_REFUSED = 10.0
"""seconds until a topic is probed again after the broker has refused one of its messages"""
_IN_FLIGHT = 100  # unacknowledged messages
_BURST = 1.0  # seconds' worth of `rate` that may be sent at once after a delay


@dataclass(frozen=True, slots=True)
class Next:
    """Messages of one topic to be sent now, in the order of their rows."""

    topic: str
    after: int
    """row before the first of them"""
    count: int
    """at most"""


@dataclass(frozen=True, slots=True)
class Answer:
    """The broker's answer to one message."""

    topic: str
    row: int
    changed: bool
    """the first refusal on this topic, or the first acknowledgement after refusals"""


@dataclass(slots=True)
class _Topic:
    last: int
    """row of its newest message"""
    sent: int = 0
    """row of the last message sent on this connection; earlier ones are acknowledged or in flight"""
    backlog_until: int = 0
    """row of its newest message when this connection began"""
    in_flight: int = 0
    refused_until: float | None = None
    """time.monotonic() of the next probe, after a refusal"""
    probing: bool = False
    """the probe is in flight"""


class SendScheduler:
    """Keeps the order within each topic; topics without a backlog go first.

    What waits when a connection begins is its backlog: one message of each topic in turn, at most `rate` a second.
    After a refusal the topic is probed with one message until the broker acknowledges it; other topics go on. It stores
    topics with waiting messages, not messages. Times are time.monotonic().
    """

    def __init__(self, waiting: Mapping[str, int], rate: float) -> None:
        """`waiting`: row of the newest message by topic."""
        self._topics = {name: _Topic(last) for name, last in waiting.items()}
        """in the order of their turns"""
        self.rate = rate
        """messages of a backlog a second"""
        self._backlog_at = 0.0
        """when the next message of a backlog may be sent"""
        self._in_flight: dict[Delivery, tuple[str, int]] = {}

    @property
    def is_awaiting(self) -> bool:
        """Whether messages are in flight."""
        return bool(self._in_flight)

    @property
    def finished(self) -> bool:
        """Whether everything is sent and answered, except for what the broker refuses."""
        return not self._in_flight and all(
            topic.sent >= topic.last or topic.refused_until is not None for topic in self._topics.values()
        )

    def connected(self, now: float) -> None:
        """A new connection: everything that waits or was in flight is its backlog."""
        self._in_flight.clear()
        self._topics = {name: _Topic(topic.last, backlog_until=topic.last) for name, topic in self._topics.items()}
        self._backlog_at = max(self._backlog_at, now)

    def add(self, name: str, row: int) -> None:
        """A message was written to disk."""
        self._topics.setdefault(name, _Topic(row, sent=row - 1)).last = row

    def next(self, now: float) -> Next | None:
        """What to send now, if anything."""
        if (room := _IN_FLIGHT - len(self._in_flight)) <= 0:
            return None
        found = None
        for name, topic in self._topics.items():
            if self._due(topic) > now:
                continue
            if topic.sent >= topic.backlog_until:
                return Next(name, topic.sent, room if topic.refused_until is None else 1)
            found = found or Next(name, topic.sent, 1)
        return found

    def due(self) -> float | None:
        """When `next` returns something, if nothing else happens; None: never."""
        full = len(self._in_flight) >= _IN_FLIGHT
        due = math.inf if full else min(map(self._due, self._topics.values()), default=math.inf)
        return None if due == math.inf else due

    def in_backlog(self, name: str, row: int) -> bool:
        """Whether the message was there before this connection."""
        return row <= self._topics[name].backlog_until

    def sent(self, name: str, row: int, delivery: Delivery, now: float) -> None:
        """The message is in flight; the turn goes to other topics."""
        topic = self._topics[name] = self._topics.pop(name)
        if row <= topic.backlog_until:
            self._backlog_at = max(self._backlog_at, now - _BURST) + 1 / self.rate
        topic.sent = row
        topic.in_flight += 1
        topic.probing = topic.refused_until is not None
        self._in_flight[delivery] = name, row

    def skip(self, name: str, row: int | None = None) -> None:
        """Does not send the message, or by default any of the topic."""
        topic = self._topics[name]
        topic.sent = topic.last if row is None else row
        self._remove_if_done(name)

    def answered(self, delivery: Delivery, refused: bool, now: float) -> Answer | None:
        """The broker has acknowledged or refused the message; None if it is not one of these."""
        if (found := self._in_flight.pop(delivery, None)) is None:
            return None
        name, row = found
        topic = self._topics[name]
        topic.in_flight -= 1
        changed = topic.refused_until is None if refused else topic.probing
        if refused:
            topic.sent = min(topic.sent, row - 1)
            topic.refused_until = now + RETRY_REFUSED
        elif topic.probing:
            topic.refused_until = None
        topic.probing = False
        self._remove_if_done(name)
        return Answer(name, row, changed)

    def _due(self, topic: _Topic) -> float:
        """When it may send again; infinite if that takes an answer or a new message."""
        if topic.sent >= topic.last or (topic.refused_until is not None and topic.in_flight):
            return math.inf
        return max(topic.refused_until or 0.0, self._backlog_at if topic.sent < topic.backlog_until else 0.0)

    def _remove_if_done(self, name: str) -> None:
        topic = self._topics[name]
        if topic.sent >= topic.last and not topic.in_flight:
            del self._topics[name]

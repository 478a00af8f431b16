"""Which message of the outbox is sent next, and which are under way: late ones beside live ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from daemon.mqtt.outgoing import Delivery

REFUSED = 10.0
"""seconds until a topic is tried again of which the broker has refused a message"""
_UNDER_WAY = 100  # messages sent and not acknowledged
_CATCH_UP = 1.0  # seconds of the rate that are made up for after a delay


@dataclass(frozen=True, slots=True)
class Next:
    """What is to be sent now: messages of one topic, in the order of their rows."""

    topic: str
    after: int
    """those behind this row"""
    count: int
    """so many of them at most"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the broker has said to one message."""

    topic: str
    row: int
    changed: bool
    """it is the first refusal on this topic, or the end of refusals"""


@dataclass(slots=True)
class _Topic:
    last: int
    """row of its newest message"""
    sent: int = 0
    """row of the last that was sent on this connection; those up to it are acknowledged or under way"""
    late_until: int = 0
    """row of its newest message at the beginning of this connection"""
    under_way: int = 0
    refused_until: float | None = None
    """while the broker refuses: when one message is tried again, time.monotonic()"""
    trying: bool = False
    """that one is under way"""


class Order:
    """In order for each topic; a topic of which nothing late waits goes ahead of all late messages.

    What waits when a connection begins is late: one message of each topic in turn, no more than `rate` a second.
    After a refusal the topic is tried again with one message, until that is accepted; others go on. It keeps topics of
    which something waits, not messages. Times are time.monotonic().
    """

    def __init__(self, waiting: Mapping[str, int], rate: float) -> None:
        """`waiting`: the row of each topic's newest message."""
        self._topics = {name: _Topic(last) for name, last in waiting.items()}
        """in the order of their turns"""
        self._rate = rate
        self._late_at = 0.0
        self._under_way: dict[Delivery, tuple[str, int]] = {}

    @property
    def awaiting(self) -> bool:
        """Whether messages are under way."""
        return bool(self._under_way)

    @property
    def finished(self) -> bool:
        """Whether all is sent and answered, but for what the broker refuses."""
        return not self._under_way and all(
            topic.sent >= topic.last or topic.refused_until is not None for topic in self._topics.values()
        )

    def begin(self, now: float) -> None:
        """A new connection: all that waits is late, what was under way too."""
        self._under_way.clear()
        self._topics = {name: _Topic(topic.last, late_until=topic.last) for name, topic in self._topics.items()}
        self._late_at = max(self._late_at, now)

    def written(self, name: str, row: int) -> None:
        """There is a message more."""
        self._topics.setdefault(name, _Topic(row, sent=row - 1)).last = row

    def next(self, now: float) -> Next | None:
        """What is to be sent now; None where there is nothing, or it is not yet time."""
        if (room := _UNDER_WAY - len(self._under_way)) <= 0:
            return None
        found = None
        for name, topic in self._topics.items():
            if self._due(topic) > now:
                continue
            if topic.sent >= topic.late_until:
                return Next(name, topic.sent, room if topic.refused_until is None else 1)
            found = found or Next(name, topic.sent, 1)
        return found

    def due(self) -> float | None:
        """When `next` has something, if nothing else happens before; None: never."""
        full = len(self._under_way) >= _UNDER_WAY
        due = math.inf if full else min(map(self._due, self._topics.values()), default=math.inf)
        return None if due == math.inf else due

    def is_late(self, name: str, row: int) -> bool:
        """Whether the message was there before this connection."""
        return row <= self._topics[name].late_until

    def sent(self, name: str, row: int, delivery: Delivery, now: float) -> None:
        """The message is under way; other topics are first now."""
        topic = self._topics[name] = self._topics.pop(name)
        if row <= topic.late_until:
            self._late_at = max(self._late_at, now - _CATCH_UP) + 1 / self._rate
        topic.sent = row
        topic.under_way += 1
        topic.trying = topic.refused_until is not None
        self._under_way[delivery] = name, row

    def passed(self, name: str, row: int | None = None) -> None:
        """The message, or by default all of the topic, needs not be sent."""
        topic = self._topics[name]
        topic.sent = topic.last if row is None else row
        self._forget(name)

    def answered(self, delivery: Delivery, refused: bool, now: float) -> Answer | None:
        """The broker has, or will not have, the message; None where it is none of these."""
        if (found := self._under_way.pop(delivery, None)) is None:
            return None
        name, row = found
        topic = self._topics[name]
        topic.under_way -= 1
        changed = topic.refused_until is None if refused else topic.trying
        if refused:
            topic.sent = min(topic.sent, row - 1)
            topic.refused_until = now + REFUSED
        elif topic.trying:
            topic.refused_until = None
        topic.trying = False
        self._forget(name)
        return Answer(name, row, changed)

    def _due(self, topic: _Topic) -> float:
        """When it may send again; never, where only an answer or a new message changes that."""
        if topic.sent >= topic.last or (topic.refused_until is not None and topic.under_way):
            return math.inf
        return max(topic.refused_until or 0.0, self._late_at if topic.sent < topic.late_until else 0.0)

    def _forget(self, name: str) -> None:
        """If nothing of it waits."""
        topic = self._topics[name]
        if topic.sent >= topic.last and not topic.under_way:
            del self._topics[name]

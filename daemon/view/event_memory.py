"""The latest events of this daemon, and their pictures, for somebody who begins to look."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from daemon.media.snapshots import Subject
from daemon.publish import event_payloads
from daemon.records import Event, EventType
from daemon.records.object_events import ObjectEvent

_EVENTS = 200
_PICTURES = 50
_PICTURE_BYTES = 16 << 20  # of all of them
_PICTURE_WITHIN = 15.0  # seconds after its event


@dataclass(frozen=True, slots=True)
class _Kept:
    number: int
    event: Event
    tracking: bool
    """whether the camera's objects are followed"""
    came: float
    """time.monotonic()"""


class EventMemory:
    """Thread-safe."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._lock = threading.Lock()
        self._events: deque[_Kept] = deque(maxlen=_EVENTS)
        self._last = 0
        self._pictures: dict[int, bytes] = {}

    @property
    def last(self) -> int:
        """Number of the latest event; 0: there was none."""
        return self._last

    def add(self, event: Event, tracking: bool) -> None:
        """Keeps an event; `tracking`: whether the camera's objects are followed."""
        with self._lock:
            self._last += 1
            self._events.append(_Kept(self._last, event, tracking, time.monotonic()))

    def add_picture(self, subject: Subject, jpeg: bytes) -> list[int]:
        """Keeps a picture; the numbers of the events that it belongs to."""
        now = time.monotonic()
        with self._lock:
            numbers = [
                kept.number
                for kept in self._events
                if _is_of(subject, kept.event)
                and now - kept.came < _PICTURE_WITHIN
                and kept.number not in self._pictures
            ]
            self._pictures.update(dict.fromkeys(numbers, jpeg))
            self._forget_pictures()
        return numbers

    def picture(self, number: int) -> bytes | None:
        """The JPEG of an event."""
        return self._pictures.get(number)

    def messages(self, after: int, waiting: int) -> Iterator[bytes]:
        """JSON of each event beyond a number, oldest first; `waiting` of all events are not with the broker yet."""
        with self._lock:
            events, last, pictures = list(self._events), self._last, set(self._pictures)
        for kept in events:
            if kept.number > after:
                payload = event_payloads.event(self._device, kept.event, tracking=kept.tracking)
                flags = b"%d" % kept.number, _flag(kept.number in pictures), _flag(kept.number > last - waiting)
                yield b'{"number":%b,"picture":%b,"waits":%b,"event":%b}' % (*flags, payload)

    def _forget_pictures(self) -> None:
        """The oldest, until the bounds are kept; with the lock."""
        oldest = self._events[0].number if self._events else 0
        while self._pictures and (
            len(self._pictures) > _PICTURES
            or sum(map(len, self._pictures.values())) > _PICTURE_BYTES
            or next(iter(self._pictures)) < oldest
        ):
            del self._pictures[next(iter(self._pictures))]


def _is_of(subject: Subject, event: Event) -> bool:
    """Whether it is a picture of what an event is about."""
    if event.camera != subject.camera:
        return False
    if subject.object is None:
        return event.type is EventType.APPEARED and event.label in subject.labels
    if not isinstance(event, ObjectEvent) or event.object is None:
        return False
    return event.type in (EventType.OBJECT_APPEARED, EventType.OBJECT_LEFT) and event.object.id == subject.object


def _flag(value: bool) -> bytes:
    return b"true" if value else b"false"

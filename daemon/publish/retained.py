"""What the broker is to keep of us, and which of it the broker does not have yet."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from daemon.publish.retained_memory import RetainedMemory, Trace

HELD = 5.0
"""seconds; a state that the broker lacks is worse than one that may stay there after a crash"""
_CLEARED = 10_000  # topics that were cleared and are remembered: names of cameras may come and go for ever


class Retained:
    """The latest payload of each topic, in the order of their change. For one thread at a time.

    What an earlier run has retained is cleared, unless this run claims the topic before `settle`. So a topic is noted
    on disk before the broker has it: until then it is held back, unless the disk takes longer than 5 s.
    """

    def __init__(
        self,
        kept: Mapping[str, bytes],
        keep: Callable[[Mapping[str, bytes | None], Callable[[], None]], None],
        changed: Callable[[str, bytes], None] | None = None,
    ) -> None:
        """`kept` on disk by earlier runs; `keep` has values kept for the next one, and calls when that is done.

        `changed` sees every `set`.
        """
        self._changed = changed or _nobody
        self._memory = RetainedMemory(kept)
        self._keep = keep
        self._cleared_before = frozenset(self._memory.topics(Trace.CLEARED))
        """topics whose clearing message an earlier run has sent"""
        self._payloads: dict[str, bytes] = {}
        self._cameras: dict[str, str] = {}
        """by topic, of whom it is; what belongs to no camera is not in it"""
        self._unsent: dict[str, None] = {}
        self._held: dict[str, float] = {}
        """topics that are not noted on disk yet, and until when their messages are held back, time.monotonic()"""
        self._waiting: dict[str, None] = {}
        """unsent topics that are held back"""
        self._cleared: dict[str, None] = {}
        """topics whose clearing message was sent, in that order"""
        self._unclaimed = set(self._memory.topics(Trace.RETAINED))
        """topics of earlier runs"""
        self._settled = False
        for topic in self._memory.topics(Trace.CLEARED):  # again: it may not have arrived
            self.set(topic, b"")

    def __bool__(self) -> bool:
        """Whether something may be sent now."""
        self._release_late()
        return bool(self._unsent)

    @property
    def due(self) -> float | None:
        """When the first unsent topic is no longer held back, time.monotonic(); None: none is."""
        return next(iter(self._held.values())) if self._waiting else None

    def set(self, topic: str, payload: bytes, camera: str | None = None) -> None:
        """An empty payload tells the broker to forget the topic."""
        if payload:
            self.claim(topic, camera)
        self._unclaimed.discard(topic)
        self._payloads[topic] = payload
        self._changed(topic, payload)
        self._queue(topic)
        self._cleared.pop(topic, None)

    def claim(self, topic: str, camera: str | None = None) -> None:
        """This run stands for the topic, also where others publish it; for a camera, with which it is cleared."""
        if camera is not None:
            self._cameras[topic] = camera
        self._unclaimed.discard(topic)
        if self._memory.trace(topic) is not Trace.RETAINED:
            self._memory.note(topic, Trace.RETAINED)
            self._held.pop(topic, None)
            self._held[topic] = time.monotonic() + HELD
        if self._payloads.get(topic) == b"":  # of a camera of that name that was removed
            self._forget(topic)

    def keep(self, cameras: Iterable[str]) -> None:
        """Clears the topics of other cameras.

        Cleared topics are remembered, the latest of them, for a broker that is absent now or comes back with old ones.
        """
        there = set(cameras)
        for topic in [topic for topic, camera in self._cameras.items() if camera not in there]:
            del self._cameras[topic]
            self.set(topic, b"")

    def settle(self) -> None:
        """Everything that this run stands for is claimed: clears what else earlier runs have retained."""
        self._settled = True
        for topic in sorted(self._unclaimed):
            self.set(topic, b"")

    def adopt(self, topics: Iterable[str]) -> None:
        """What earlier runs have retained, where that was not known at the start."""
        for topic in topics:
            if self._memory.trace(topic) is None:
                self._memory.note(topic, Trace.RETAINED)
                self._unclaimed.add(topic)
        if self._settled:
            self.settle()

    def mark_all_unsent(self) -> None:
        """Everything is sent again: the broker may have lost it."""
        self._unsent, self._waiting = {}, {}
        for topic in self._payloads:
            self._queue(topic)

    def is_held(self, topic: str) -> bool:
        """Whether a message of another thread on this topic has to wait."""
        self._release_late()
        return topic in self._held

    def pop(self) -> tuple[str, bytes]:
        """The oldest topic that may be sent, and its payload; it counts as sent from now on."""
        topic = next(iter(self._unsent))
        del self._unsent[topic]
        return topic, self._payloads[topic]

    def requeue(self, topic: str) -> None:
        """Makes a topic unsent again that could not be sent."""
        if topic in self._payloads:
            self._queue(topic)

    def sent(self, topic: str, payload: bytes) -> None:
        """The network has taken what `pop` has returned.

        A clearing message may still be lost with the connection, so the next run sends it too.
        """
        if payload or self._payloads.get(topic) != b"":
            return
        if self._memory.trace(topic) is Trace.RETAINED:
            self._memory.note(topic, Trace.CLEARED)
        elif topic in self._cleared_before:
            self._memory.note(topic, None)
        self._cleared[topic] = None
        if len(self._cleared) > _CLEARED:
            oldest = next(iter(self._cleared))
            self._memory.note(oldest, None)
            self._forget(oldest)

    def remember(self) -> None:
        """Has everything kept on disk that the next run must know."""
        if changes := self._memory.changes():
            self._keep(changes, partial(self._noted, dict(self._held)))

    def _noted(self, held: Mapping[str, float]) -> None:
        """These are on disk now, unless they were noted otherwise since."""
        for topic, until in held.items():
            if self._held.get(topic) == until:
                self._release(topic)

    def _release_late(self) -> None:
        now = time.monotonic()
        while self._held and now >= self._held[topic := next(iter(self._held))]:
            self._release(topic)

    def _release(self, topic: str) -> None:
        del self._held[topic]
        if topic in self._waiting:
            del self._waiting[topic]
            self._unsent[topic] = None

    def _queue(self, topic: str) -> None:
        """Makes a topic unsent."""
        waits = topic in self._held and self._payloads[topic] != b""
        queue, other = (self._waiting, self._unsent) if waits else (self._unsent, self._waiting)
        other.pop(topic, None)
        queue[topic] = None

    def _forget(self, topic: str) -> None:
        """A topic that was cleared."""
        del self._payloads[topic]
        for known in (self._cleared, self._unsent, self._waiting):
            known.pop(topic, None)


def _nobody(topic: str, payload: bytes) -> None:
    """The default of `changed`."""

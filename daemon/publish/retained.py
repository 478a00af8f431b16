"""What the broker is to keep of us, and which of it the broker does not have yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from daemon.publish.retained_memory import RetainedMemory, Trace

_CLEARED = 10_000  # topics that were cleared and are remembered: names of cameras may come and go for ever


class Retained:
    """The latest payload of each topic, in the order of their change. For one thread at a time.

    What an earlier run has retained is cleared, unless this run claims the topic before `settle`.
    """

    def __init__(
        self,
        kept: Mapping[str, bytes],
        keep: Callable[[Mapping[str, bytes | None]], None],
        changed: Callable[[str, bytes], None] | None = None,
    ) -> None:
        """`kept` on disk by earlier runs; `keep` has values kept for the next one; `changed` sees every `set`."""
        self._changed = changed or _nobody
        self._memory = RetainedMemory(kept)
        self._keep = keep
        self._cleared_before = frozenset(self._memory.topics(Trace.CLEARED))
        """topics whose clearing message an earlier run has sent"""
        self._payloads: dict[str, bytes] = {}
        self._cameras: dict[str, str] = {}
        """by topic, of whom it is; what belongs to no camera is not in it"""
        self._unsent: dict[str, None] = {}
        self._cleared: dict[str, None] = {}
        """topics whose clearing message was sent, in that order"""
        self._unclaimed = set(self._memory.topics(Trace.RETAINED))
        """topics of earlier runs"""
        self._settled = False
        for topic in self._memory.topics(Trace.CLEARED):  # again: it may not have arrived
            self.set(topic, b"")

    def __bool__(self) -> bool:
        """Whether something is unsent."""
        return bool(self._unsent)

    def set(self, topic: str, payload: bytes, camera: str | None = None) -> None:
        """An empty payload tells the broker to forget the topic."""
        if payload:
            self.claim(topic, camera)
        self._unclaimed.discard(topic)
        self._payloads[topic] = payload
        self._changed(topic, payload)
        self._unsent[topic] = None
        self._cleared.pop(topic, None)

    def claim(self, topic: str, camera: str | None = None) -> None:
        """This run stands for the topic, also where others publish it; for a camera, with which it is cleared."""
        if camera is not None:
            self._cameras[topic] = camera
        self._unclaimed.discard(topic)
        self._memory.note(topic, Trace.RETAINED)
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

    def adopt(self, kept: Mapping[str, bytes]) -> None:
        """What earlier runs have retained, where that could not be read at the start."""
        for topic in RetainedMemory(kept).topics(Trace.RETAINED):
            if self._memory.trace(topic) is None:
                self._memory.note(topic, Trace.RETAINED)
                self._unclaimed.add(topic)
        if self._settled:
            self.settle()

    def mark_all_unsent(self) -> None:
        """Everything is sent again: the broker may have lost it."""
        self._unsent = dict.fromkeys(self._payloads)

    def pop(self) -> tuple[str, bytes]:
        """The oldest unsent topic and its payload; it counts as sent from now on."""
        if self._memory.has_new:  # on disk before the broker has it
            self.remember()
        topic = next(iter(self._unsent))
        del self._unsent[topic]
        return topic, self._payloads[topic]

    def requeue(self, topic: str) -> None:
        """Makes a topic unsent again that could not be sent."""
        if topic in self._payloads:
            self._unsent[topic] = None

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
            self._keep(changes)

    def _forget(self, topic: str) -> None:
        """A topic that was cleared."""
        del self._payloads[topic]
        self._cleared.pop(topic, None)
        self._unsent.pop(topic, None)


def _nobody(topic: str, payload: bytes) -> None:
    """The default of `changed`."""

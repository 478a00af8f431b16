"""What the broker is to keep of us, and which of it the broker does not have yet."""

from __future__ import annotations

from collections.abc import Iterable

_CLEARED = 10_000  # topics that were cleared and are remembered: names of cameras may come and go for ever


class Retained:
    """The latest payload of each topic, in the order of their change. For one thread at a time."""

    def __init__(self) -> None:
        self._payloads: dict[str, bytes] = {}
        self._cameras: dict[str, str] = {}
        """by topic, of whom it is; what belongs to no camera is not in it"""
        self._unsent: dict[str, None] = {}
        self._cleared: dict[str, None] = {}
        """topics whose payload is empty, in the order in which they were cleared"""

    def __bool__(self) -> bool:
        """Whether something is unsent."""
        return bool(self._unsent)

    def set(self, topic: str, payload: bytes, camera: str | None = None) -> None:
        """An empty payload tells the broker to forget the topic."""
        if camera is not None:
            self.assign(topic, camera)
        self._payloads[topic] = payload
        self._unsent[topic] = None
        self._cleared.pop(topic, None)
        if not payload:
            self._cleared[topic] = None
            if len(self._cleared) > _CLEARED:
                self._forget(next(iter(self._cleared)))

    def assign(self, topic: str, camera: str) -> None:
        """Makes the topic one of a camera, with which it is cleared; also where others publish it."""
        self._cameras[topic] = camera
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

    def mark_all_unsent(self) -> None:
        """Everything is sent again: the broker may have lost it."""
        self._unsent = dict.fromkeys(self._payloads)

    def pop(self) -> tuple[str, bytes]:
        """The oldest unsent topic and its payload; it counts as sent from now on."""
        topic = next(iter(self._unsent))
        del self._unsent[topic]
        return topic, self._payloads[topic]

    def requeue(self, topic: str) -> None:
        """Makes a topic unsent again that could not be sent."""
        if topic in self._payloads:
            self._unsent[topic] = None

    def _forget(self, topic: str) -> None:
        """A topic that was cleared."""
        del self._payloads[topic]
        del self._cleared[topic]
        self._unsent.pop(topic, None)

"""Sends what the broker is to keep, in the thread of the frames."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping

from daemon.mqtt.link import Link
from daemon.mqtt.outgoing import Handover
from daemon.publish.retained import HELD, Retained

_FULL_NETWORK = 0.01  # seconds until a full network is tried again, at the latest

Kept = Mapping[str, bytes | None]
"""values by key; None: to be deleted"""


class RetainedSender:
    """Thread-safe; no caller ever waits, but in `claim_now`."""

    def __init__(
        self,
        link: Link,
        kept: Mapping[str, bytes],
        keep: Callable[[Kept, Callable[[], None]], None],
        on_retained: Callable[[str, bytes], None] | None = None,
    ) -> None:
        """See Retained; `keep` may call back in any thread."""
        self._link = link
        self._keep = keep
        self.changed = threading.Condition()
        """guards what follows; notified when it changes"""
        self._retained = Retained(kept, self._keep_unlocked, on_retained)
        self._cameras: Collection[str] = ()
        self._connected = False
        """as `link_changed` was told, which the link's own state is ahead of"""

    def configure(self, cameras: Collection[str]) -> None:
        """From now on there are these cameras; what is retained of others is cleared."""
        with self.changed:
            self._cameras = cameras
            self._retained.keep(cameras)
            self.changed.notify_all()

    def retain(self, topic: str, payload: bytes, camera: str | None = None) -> None:
        """Has the broker keep the payload, for as long as there is that camera."""
        with self.changed:
            if camera is None or camera in self._cameras:
                self._retained.set(topic, payload, camera)
                self.changed.notify_all()

    def claim(self, topic: str, camera: str | None = None) -> bool:
        """Claims a topic that others publish, for a camera with which it is cleared; False where that is gone."""
        with self.changed:
            there = camera is None or camera in self._cameras
            if there:
                self._retained.claim(topic, camera)
                self.changed.notify_all()
            return there

    def claim_now(self, topic: str, camera: str) -> bool:
        """The same, and waits until the topic may be published."""
        with self.changed:
            there = self.claim(topic, camera)
            if self._retained.is_held(topic):
                self._retained.remember()
                self.changed.wait_for(lambda: not self._retained.is_held(topic), HELD)
            return there

    def adopt(self, topics: Iterable[str]) -> None:
        """See Retained.adopt."""
        with self.changed:
            self._retained.adopt(topics)
            self.changed.notify_all()

    def settle(self) -> None:
        """All topics that this run stands for are claimed; what else earlier runs have retained is cleared."""
        with self.changed:
            self._retained.settle()
            self.changed.notify_all()

    def link_changed(self, connected: bool) -> None:
        """Takes whether there is a broker, to which everything is sent again: it may have lost it."""
        with self.changed:
            if connected:
                self._retained.mark_all_unsent()
            self._connected = connected
            self.changed.notify_all()

    def remember(self) -> None:
        """See Retained.remember."""
        with self.changed:
            self._retained.remember()

    def sendable(self) -> bool:
        """Whether something may be sent now."""
        return self._can_send() and bool(self._retained)

    def due(self) -> float | None:
        """When something may be sent that is held back, time.monotonic(); None: nothing is."""
        return self._retained.due if self._can_send() else None

    def send(self) -> None:
        """Sends what may be sent now, as far as the network has room."""
        while True:
            with self.changed:
                self._retained.remember()
                if not self.sendable():
                    return
                # Taken off the list first: if the link changes meanwhile, it is put back and sent again.
                topic, payload = self._retained.pop()
            handover = self._link.publish(topic, payload, retain=True)
            if handover is Handover.TOO_LARGE:  # the broker keeps nothing rather than what is no longer true
                handover = self._link.publish(topic, b"", retain=True)
            with self.changed:
                if handover is Handover.NO_ROOM:
                    self._retained.requeue(topic)
                    self.changed.wait(_FULL_NETWORK)
                    return
                self._retained.sent(topic, payload)

    def _can_send(self) -> bool:
        return self._connected and self._link.state.connected

    def _keep_unlocked(self, changes: Kept, noted: Callable[[], None]) -> None:
        """With the lock."""

        def done() -> None:
            with self.changed:
                noted()
                self.changed.notify_all()

        self._keep(changes, done)

"""The thread that sends what holds for the moment: frames, states and statistics; nothing of it waits on disk."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from daemon.config.schema import Config
from daemon.publish import payloads
from daemon.publish.formats.fanout import Formats
from daemon.publish.formats.format import Transient
from daemon.publish.link import Link
from daemon.publish.outgoing import Handover
from daemon.publish.retained import Retained
from daemon.publish.topics import DeviceTopics
from daemon.records import Drop, FrameResult
from daemon.stats import Stats
from daemon.system.thread_scheduling import request_short_slice
from daemon.system.worker_thread import WorkerThread

_INBOX = 256  # results that wait for the thread
_AT_ONCE = 8  # of them that it takes; the more, the less it and those that give wake each other, and the older they get
_FULL_NETWORK = 0.01  # seconds until a full network is tried again, at the latest


class FrameSender:
    """Owns the thread `publish`.

    Of live cameras the oldest waiting result makes room for the newest, and what finds no broker is dropped; each
    drop is counted. Results that are not live are waited for, by the caller while the inbox is full and by the
    thread while there is no broker. What is retained is sent again after every reconnect.
    """

    def __init__(
        self,
        config: Config,
        topics: DeviceTopics,
        link: Link,
        formats: Formats,
        stats: Stats,
        report: Callable[[], Sequence[Transient]],
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        """`report` gives the messages of every `mqtt.stats_every` seconds; `on_fatal` gets what nobody expected."""
        self._device = config.device
        self._topics = topics
        self._link = link
        self._formats = formats
        self._stats = stats
        self._report = report
        self._every = config.mqtt.stats_every
        self._next_stats = time.monotonic() + self._every
        self._detections: dict[str, str] = {}
        self._room = threading.Event()
        """something has been written since the thread last waited for that"""
        self._thread = WorkerThread("publish", self._run, on_fatal)
        self._changed = threading.Condition()
        """guards what follows; notified when a result, a state or room comes, the link changes or the end begins"""
        self._inbox: deque[FrameResult] = deque()
        self._retained = Retained()
        self._hurried = False
        self._closed = False
        """no more results are taken"""
        self.configure(config)

    def start(self) -> None:
        """Returns at once."""
        self._thread.start()

    def configure(self, config: Config) -> None:
        """From now on these cameras are published of; what is retained of others is cleared."""
        with self._changed:
            self._detections = {name: self._topics.camera(name).detections.name for name in config.cameras}
            self._retained.keep(config.cameras)
            self._changed.notify_all()

    def results(self, results: Sequence[FrameResult]) -> None:
        """Returns at once if all are live, else when there is room for it.

        The thread is woken once for all: each thread that wakes takes the interpreter from those that decode.
        """
        with self._changed:
            for result in results:
                if not result.live:
                    self._wait_for_room()
                if not self._closed and (len(self._inbox) < _INBOX or self._make_room()):
                    self._inbox.append(result)
                else:
                    self._stats.dropped(result.camera, Drop.PUBLISH_QUEUE)
            self._changed.notify_all()

    def waiting(self) -> int:
        """Results that wait for the thread."""
        return len(self._inbox)

    def retain(self, topic: str, payload: bytes, camera: str | None = None) -> None:
        """Has the broker keep the payload, for as long as there is that camera."""
        with self._changed:
            if camera is None or camera in self._detections:
                self._retained.set(topic, payload, camera)
                self._changed.notify_all()

    def belongs(self, topic: str, camera: str) -> bool:
        """What others have the broker keep there is cleared with the camera; False where it is gone already."""
        with self._changed:
            there = camera in self._detections
            if there:
                self._retained.belongs(topic, camera)
            return there

    def link_changed(self, connected: bool) -> None:
        """Takes whether there is a broker."""
        with self._changed:
            if connected:
                self._retained.forgotten()
            self._changed.notify_all()

    def written(self) -> None:
        """The network may have room again."""
        self._room.set()

    def stats_now(self) -> None:
        """Makes the next report due, where there is a broker."""
        with self._changed:
            self._next_stats = time.monotonic()
            self._changed.notify_all()

    def hurry(self) -> None:
        """Nothing waits for a broker from now on."""
        with self._changed:
            self._hurried = True
            self._changed.notify_all()

    def stop(self, timeout: float) -> bool:
        """Sends what waits if there is a broker; False if that took too long."""
        with self._changed:
            self._hurried = True
            self._closed = True
            self._changed.notify_all()
        return self._thread.join(timeout)

    def _wait_for_room(self) -> None:
        if len(self._inbox) >= _INBOX:
            self._changed.notify_all()
            self._changed.wait_for(lambda: len(self._inbox) < _INBOX or self._closed)

    def _make_room(self) -> bool:
        for index, waiting in enumerate(self._inbox):
            if waiting.live:
                del self._inbox[index]
                self._stats.dropped(waiting.camera, Drop.PUBLISH_QUEUE)
                return True
        return False

    def _run(self) -> None:
        try:
            request_short_slice()
            while not self._drained():
                results = self._take()
                self._send_retained()
                for result in results:
                    self._send(result)
                self._stats.handed(len(results))
                self._send_stats()
        finally:
            with self._changed:
                self._closed = True  # whoever waits for room goes on
                self._changed.notify_all()

    def _drained(self) -> bool:
        with self._changed:
            return self._closed and not self._inbox and not self._sendable()

    def _sendable(self) -> bool:
        return bool(self._retained) and self._link.state.connected

    def _take(self) -> list[FrameResult]:
        """The oldest results; none where there is something else to do."""
        with self._changed:
            if not self._inbox and not self._sendable() and not self._closed:
                wait = max(0.0, self._next_stats - time.monotonic()) if self._link.state.connected else None
                self._changed.wait(wait)
            if len(self._inbox) >= _INBOX:
                self._changed.notify_all()  # there is room
            at_once = _AT_ONCE if self._link.state.connected else 1  # what was taken can make no room for what is newer
            return [self._inbox.popleft() for _ in range(min(at_once, len(self._inbox)))]

    def _send(self, result: FrameResult) -> None:
        """It counts as published when the last of its messages is written."""
        if (topic := self._detections.get(result.camera)) is None:
            return  # the camera has just been removed
        messages = [(topic, payloads.detections(self._device, result)), *self._formats.frames(result)]
        sent, whole = 0, True
        while sent < len(messages):
            of = (result.camera, result.captured_mono) if whole and sent == len(messages) - 1 else None
            handover = self._link.publish(*messages[sent], of=of)
            if handover is not Handover.NO_ROOM:
                whole &= handover is Handover.TAKEN
                sent += 1
                continue
            if not self._link.state.connected:
                sent, whole = 0, True  # what was under way of this frame is lost
            if not self._wait_to_send(result.live):
                why = Drop.PUBLISH_QUEUE if self._link.state.connected else Drop.NOT_CONNECTED
                self._stats.dropped(result.camera, why)
                return
            self._send_retained()
        if not whole:
            self._stats.dropped(result.camera, Drop.PACKET_TOO_LARGE)

    def _wait_to_send(self, live: bool) -> bool:
        """Waits for the broker or for room in the network's queue; False if the message is to be dropped instead."""
        with self._changed:
            connected = self._link.state.connected
            if not connected and (live or self._hurried):
                return False
            if not connected:
                self._changed.wait()
                return True
        self._stats.network_full()
        self._room.wait(_FULL_NETWORK)
        self._room.clear()  # before the next attempt: what is written after that one sets it again
        return True

    def _send_retained(self) -> None:
        while True:
            with self._changed:
                if not self._sendable():
                    return
                # Taken off the list first: if the link changes meanwhile, it is put back and sent again.
                topic, payload = self._retained.take()
            handover = self._link.publish(topic, payload, retain=True)
            if handover is Handover.TOO_LARGE:  # the broker keeps nothing rather than what is no longer true
                handover = self._link.publish(topic, b"", retain=True)
            if handover is Handover.NO_ROOM:
                with self._changed:
                    self._retained.put_back(topic)
                    self._changed.wait(_FULL_NETWORK)
                return

    def _send_stats(self) -> None:
        """If it is time for them. Without a broker the report waits, and then covers all the time since the last."""
        now = time.monotonic()
        if now >= self._next_stats and self._link.state.connected:
            for topic, payload in self._report():
                self._link.publish(topic, payload)
            self._next_stats = now + self._every

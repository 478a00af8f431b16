"""The publishing thread: results and states in, MQTT messages out."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from daemon.config.schema import Config
from daemon.errors import UsageError
from daemon.publish import commands, payloads
from daemon.publish.inbox import Subscription
from daemon.publish.link import Link, LinkState
from daemon.publish.outbox import outbox_path, read_status
from daemon.publish.outbox_sender import OutboxSender
from daemon.publish.outgoing import Acknowledgements, Delivery, Message, Presence
from daemon.publish.thinning import Thinning
from daemon.publish.topics import DeviceTopics
from daemon.records import CameraStatus, DaemonInfo, Drop, Event, FrameResult, OutboxStatus
from daemon.settings import Setting, Value
from daemon.slices import shorten_slice
from daemon.stats import Stats

log = logging.getLogger("ospreyd.mqtt")

_INBOX = 256  # results that wait for the thread
_FULL_NETWORK = 0.01  # seconds until a full network queue is tried again


class Publisher:
    """Owns the thread `publish` and the link to the broker.

    Of live cameras the oldest waiting result makes room for the newest, and what finds no broker is dropped; each
    drop is counted. Results that are not live are waited for, by the caller while the inbox is full and by the
    thread while there is no broker. The latest info and camera states are retained by the broker, and sent again
    after every reconnect. Events wait in the outbox on disk until the broker has acknowledged them. `fail` gets what
    nobody expected. Raises UsageError where the CA file or the outbox cannot be used.
    """

    def __init__(
        self,
        config: Config,
        info: DaemonInfo,
        stats: Stats,
        fail: Callable[[BaseException], None],
        subscription: Subscription | None = None,
    ) -> None:
        self._device = config.device
        self._cameras = tuple(config.cameras)
        self._every = config.mqtt.stats_every
        self._stats = stats
        self._fail = fail
        self._topics = DeviceTopics.of(config.mqtt.prefix, config.device)
        self._detections = {name: self._topics.camera(name).detections.name for name in self._cameras}
        self._link = Link(
            config.mqtt,
            client_id=f"ospreyd-{config.device}",
            presence=Presence(self._topics.status, b"online", b"offline"),
            on_state=self._link_changed,
            fail=fail,
            subscription=subscription,
            acknowledgements=Acknowledgements(self._acknowledged, self._awaiting),
        )
        self._outbox_path = outbox_path(config.mqtt.outbox, config.device)
        self._outbox = OutboxSender(self._outbox_path, config.mqtt.outbox, self._link.deliver, fail, stats.acknowledged)
        self._thinning = Thinning(config.mqtt.every)
        self._next_stats = time.monotonic() + self._every
        self._thread = threading.Thread(target=self._run, name="publish", daemon=True)
        self._changed = threading.Condition()
        """guards what follows; notified when a result, a state or room comes, the link changes or the end begins"""
        self._inbox: deque[FrameResult] = deque()
        self._retained: dict[str, bytes] = {}
        self._unsent: dict[str, None] = {}
        """topics of _retained that the broker does not have yet, in the order of their change"""
        self._hurried = False
        self._closed = False
        """no more results are taken"""
        self.info(info)

    @property
    def link(self) -> LinkState:
        """How the connection to the broker stands."""
        return self._link.state

    def outbox(self) -> OutboxStatus | None:
        """What waits on disk; for any thread. None where it cannot be read, which the thread `outbox` tells."""
        with suppress(UsageError):
            return read_status(self._outbox_path)
        return None

    def start(self) -> None:
        """Begins to connect and to publish; returns at once."""
        self._outbox.start()
        self._link.start()
        self._thread.start()

    def event(self, event: Event) -> None:
        """Takes what has happened; returns at once. It waits in the outbox until the broker has it."""
        since = time.monotonic() - max(0.0, time.time() - event.time)
        self._outbox.put(self._topics.camera(event.camera).events.name, payloads.event(self._device, event), since)

    def results(self, results: Sequence[FrameResult]) -> None:
        """Takes what was seen in a batch of frames. Returns at once if all are live, else when there is room for it.

        For one thread; what `mqtt.every` leaves out is neither published nor counted as dropped. The thread is woken
        once for all: each thread that wakes takes the interpreter from those that decode.
        """
        wanted = []
        for result in results:
            if self._thinning.wanted(result):
                wanted.append(result)
            else:
                self._stats.thinned(result.camera)
        with self._changed:
            for result in wanted:
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

    def camera_status(self, status: CameraStatus) -> None:
        """Takes a camera's new state."""
        self._retain(self._topics.camera(status.camera).status.name, payloads.camera_status(self._device, status))

    def info(self, info: DaemonInfo) -> None:
        """Takes what the device now is and runs."""
        self._retain(self._topics.info.name, payloads.info(self._device, info))

    def set_cameras(self, cameras: tuple[str, ...]) -> None:
        """From now on these are published of; what is retained of others is cleared.

        To clear is remembered, for a broker that is not there now, or comes back with what it knew.
        """
        with self._changed:
            gone = [f"{self._topics.root}/{name}/" for name in self._cameras if name not in cameras]
            for topic in self._retained:
                if topic.startswith(tuple(gone)):
                    self._retained[topic] = b""  # which tells the broker to forget it
                    self._unsent[topic] = None
            self._cameras = cameras
            self._detections = {name: self._topics.camera(name).detections.name for name in cameras}
            self._changed.notify_all()

    def setting(self, camera: str, which: Setting, value: Value, commanded: bool) -> None:
        """Takes what a camera runs with, and whether a command has set it."""
        payload = commands.setting(self._device, camera, which, value, commanded=commanded)
        self._retain(commands.state_topic(self._topics, camera, which).name, payload)

    def send(self, message: Message) -> bool:
        """Hands a message of its own kind to the network now, from any thread; False where it has no room."""
        return self._link.send(message)

    def stats_now(self) -> None:
        """Makes the next report due, where there is a broker."""
        with self._changed:
            self._next_stats = time.monotonic()
            self._changed.notify_all()

    def hurry(self) -> None:
        """For the start of a shutdown, before the stages that give results stop: nothing waits for a broker now."""
        with self._changed:
            self._hurried = True
            self._changed.notify_all()

    def stop(self, timeout: float) -> bool:
        """Sends what waits if there is a broker, says `offline` and disconnects; False if that took too long."""
        deadline = time.monotonic() + timeout
        with self._changed:
            self._hurried = True
            self._closed = True
            self._changed.notify_all()
        self._thread.join(timeout / 2)  # the other half is for the events and the farewell
        drained = not self._thread.is_alive()
        drained &= self._outbox.stop(timeout / 8)
        return self._link.stop(max(0.0, deadline - time.monotonic())) and drained

    def _retain(self, topic: str, payload: bytes) -> None:
        with self._changed:
            self._retained[topic] = payload
            self._unsent[topic] = None
            self._changed.notify_all()

    def _acknowledged(self, delivery: Delivery, refusal: str) -> None:
        self._outbox.acknowledged(delivery, refusal)

    def _awaiting(self) -> bool:
        return self._outbox.awaiting

    def _link_changed(self, state: LinkState) -> None:
        self._outbox.link_changed(state.connected)
        with self._changed:
            if state.connected:  # the broker may have lost everything
                self._unsent = dict.fromkeys(self._retained)
            self._changed.notify_all()

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
            shorten_slice()
            while not self._drained():
                result = self._take()
                self._send_retained()
                if result is not None:
                    self._send(result)
                self._send_stats()
        except Exception as error:
            log.exception("publishing failed")
            with self._changed:
                self._closed = True  # whoever waits for room goes on
                self._changed.notify_all()
            self._fail(error)

    def _drained(self) -> bool:
        with self._changed:
            return self._closed and not self._inbox and not self._sendable()

    def _sendable(self) -> bool:
        return bool(self._unsent) and self._link.state.connected

    def _take(self) -> FrameResult | None:
        """The oldest result; None where there is something else to do."""
        with self._changed:
            if not self._inbox and not self._sendable() and not self._closed:
                wait = max(0.0, self._next_stats - time.monotonic()) if self._link.state.connected else None
                self._changed.wait(wait)
            if not self._inbox:
                return None
            self._changed.notify_all()  # there is room
            return self._inbox.popleft()

    def _send(self, result: FrameResult) -> None:
        if (topic := self._detections.get(result.camera)) is None:
            return  # the camera has just been removed
        payload = payloads.detections(self._device, result)
        while not self._link.publish(topic, payload):
            if not self._wait_to_send(result.live):
                why = Drop.PUBLISH_QUEUE if self._link.state.connected else Drop.NOT_CONNECTED
                self._stats.dropped(result.camera, why)
                return
            self._send_retained()
        self._stats.published(result.camera, time.monotonic() - result.captured_mono)

    def _wait_to_send(self, live: bool) -> bool:
        """Waits for the broker or for room in the network's queue; False if the message is to be dropped instead."""
        with self._changed:
            connected = self._link.state.connected
            if not connected and (live or self._hurried):
                return False
            if connected:
                self._stats.network_full()
            self._changed.wait(_FULL_NETWORK if connected else None)
            return True

    def _send_retained(self) -> None:
        while True:
            with self._changed:
                if not self._sendable():
                    return
                # Taken off the list first: if the link changes meanwhile, it is put back and sent again.
                topic = next(iter(self._unsent))
                del self._unsent[topic]
                payload = self._retained[topic]
            if not self._link.publish(topic, payload, retain=True):
                with self._changed:
                    self._unsent[topic] = None
                    self._changed.wait(_FULL_NETWORK)
                return

    def _send_stats(self) -> None:
        """If it is time for them. Without a broker the report waits, and then covers all the time since the last."""
        now = time.monotonic()
        if now >= self._next_stats and self._link.state.connected:
            report = self._stats.report(self._cameras)
            self._link.publish(self._topics.stats.name, payloads.stats(self._device, report, self._outbox.counts))
            self._next_stats = now + self._every

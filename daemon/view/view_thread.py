"""The thread `view`: tells the web process what the daemon does, takes its orders, has pictures written for it."""

from __future__ import annotations

import logging
import os
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import orjson

from daemon import __version__
from daemon.capture.picture_wishes import PictureWishes
from daemon.config.schema import Config
from daemon.control.commands import Order
from daemon.media.snapshots import Subject
from daemon.mqtt.link import LinkState
from daemon.publish import payloads
from daemon.records import Event, FrameResult, OutboxCounts
from daemon.service.status import StatusSnapshot
from daemon.stats import Reader, Stats
from daemon.system.worker_thread import WorkerThread
from daemon.view.broker_state import BrokerState
from daemon.view.event_memory import EventMemory
from daemon.view.last_hour import EVERY, LastHour
from daemon.view.orders import Orders, Readings
from daemon.view.peer import Peer, PeerGoneError
from daemon.view.picture_budget import PictureBudget
from daemon.view.rendezvous import Rendezvous
from daemon.view.retained_states import RetainedStates

_log = logging.getLogger("ospreyd.web")
_STATS_EVERY = 2.0  # seconds between two reports to somebody who looks
_RESULTS = 256  # that wait for the thread


@dataclass(frozen=True, slots=True)
class Sources:
    """What the view reads and asks for."""

    config: Callable[[], Config]
    """that runs"""
    status: Callable[[], StatusSnapshot]
    broker: Callable[[], LinkState]
    outbox: Callable[[], OutboxCounts]
    order: Callable[[Order], bool]
    """has a command executed; False: too many wait"""


class View:
    """Owns the thread `view` and its socket, for one web process at a time. While there is none it sleeps.

    The methods that take something return at once, in any thread.
    """

    def __init__(
        self,
        config: Config,
        rendezvous: Rendezvous,
        stats: Stats,
        wishes: PictureWishes,
        sources: Sources,
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        self._device = config.device
        self._rendezvous = rendezvous
        self._stats = stats
        self._pictures = PictureBudget(wishes)
        self._sources = sources
        self._states = RetainedStates(config.mqtt.prefix, config.device, self._send_soon)
        self._events = EventMemory(config.device)
        self._hour = LastHour(stats)
        readings = Readings(self._events, self._hour, lambda: sources.outbox().waiting)
        self._orders = Orders(readings, self._pictures, sources.order, self._send_soon, self._watch)
        self._reader = Reader()
        self._peer: Peer | None = None
        self._watched: frozenset[str] = frozenset()
        """cameras whose detections are wanted"""
        self._results: deque[FrameResult] = deque(maxlen=_RESULTS)
        self._soon: deque[bytes] = deque()
        """lines for the peer; empty while there is none"""
        self._broker = BrokerState(sources.broker)
        self._stopping = threading.Event()
        self._selector = selectors.DefaultSelector()
        self._woken, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._thread = WorkerThread("view", self._run, on_fatal)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Asks the thread to end; returns at once."""
        self._stopping.set()
        self._rouse()

    def join(self, timeout: float) -> bool:
        """Whether the thread has ended within `timeout` seconds."""
        return self._thread.join(timeout)

    def retained(self, topic: str, payload: bytes) -> None:
        """Takes what is published retained; an empty payload clears it."""
        self._states.take(topic, payload)

    def results(self, results: Sequence[FrameResult]) -> None:
        """Takes results; costs nothing while nobody looks."""
        if not self._watched:
            return
        if wanted := [result for result in results if result.camera in self._watched]:
            self._results.extend(wanted)
            self._rouse()

    def event(self, event: Event) -> None:
        """Takes an event."""
        config = self._sources.config()
        self._events.add(event, config.tracked(event.camera) is not None)
        if self._peer is not None:
            self._rouse()

    def picture(self, subject: Subject, jpeg: bytes) -> None:
        """Takes a picture that events have."""
        if numbers := self._events.add_picture(subject, jpeg):
            self._send_soon(orjson.dumps({"kind": "event-pictures", "numbers": numbers}))

    def _run(self) -> None:
        self._listen()
        self._selector.register(self._woken, selectors.EVENT_READ, self._drain)
        try:
            self._serve()
        finally:
            self._part("")
            self._rendezvous.close()
            self._selector.close()
            os.close(self._woken)

    def _serve(self) -> None:
        next_stats = time.monotonic()
        next_point = next_stats + EVERY
        told = 0
        while not self._stopping.is_set():
            now = time.monotonic()
            due = min(next_point, next_stats, self._pictures.due) if self._peer else next_point
            ready = self._selector.select(max(0.0, due - now))
            self._answer(ready)
            now = time.monotonic()
            if now >= next_point:
                next_point = now + EVERY
                self._look()
            if self._peer is None:
                told, next_stats = self._events.last, now
                continue
            self._pictures.hand_on(now)
            try:
                if now >= next_stats:
                    next_stats = now + _STATS_EVERY
                    self._tell_stats()
                    self._look_at_broker()
                self._tell()
                told = self._tell_events(told)
            except PeerGoneError as gone:
                self._part(str(gone))

    def _answer(self, ready: list[tuple[selectors.SelectorKey, int]]) -> None:
        """Does what the descriptors are ready for; the peer first, so that one who has gone makes room."""
        for key, _ in sorted(ready, key=lambda one: one[0].data != self._talk):
            key.data()

    def _accept(self) -> None:
        try:
            connection = self._rendezvous.accept()
        except OSError:  # too few descriptors; whoever waits for one would wake the thread again at once
            self._selector.unregister(self._rendezvous.socket)
            return
        if connection is None:
            return
        peer = Peer(connection)
        if self._peer is not None:
            with suppress(PeerGoneError):
                peer.send(b'{"kind":"busy"}')
            peer.close()
            return
        self._peer = peer
        self._reader = Reader()
        self._soon.clear()
        self._selector.register(connection, selectors.EVENT_READ, self._talk)
        self._look_at_broker()
        try:
            peer.send(orjson.dumps({"kind": "hello", "version": __version__, "device": self._device}))
            for line in self._states.lines():
                peer.send(line)
            peer.send(self._broker.line())
        except PeerGoneError as gone:
            self._part(str(gone))

    def _talk(self) -> None:
        """Takes what the peer says, or goes on sending what waits."""
        if (peer := self._peer) is None:
            return
        try:
            peer.flush()
            for message in peer.receive():
                self._orders.take(message, peer)
        except PeerGoneError as gone:
            self._part(str(gone))

    def _part(self, why: str) -> None:
        """The peer is gone, or cut off for a reason."""
        peer, self._peer = self._peer, None
        if peer is None:
            return
        if why:
            _log.warning("the web process was cut off: %s", why)
        self._watched = frozenset()
        self._pictures.forget_all()
        self._results.clear()
        self._soon.clear()
        self._selector.unregister(peer.connection)
        peer.close()

    def _tell(self) -> None:
        """Sends what has come for the peer. Raises PeerGoneError."""
        if (peer := self._peer) is None:
            return
        while self._soon:
            peer.send(self._soon.popleft())
        cameras = self._sources.config().cameras
        while self._results:
            result = self._results.popleft()
            camera = cameras.get(result.camera)
            if camera is not None and not peer.is_behind:
                payload = payloads.detections(self._device, result, zones=bool(camera.zones))
                peer.send(_line("detections", payload))
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if peer.wants_to_write else 0)
        if self._selector.get_key(peer.connection).events != wanted:
            self._selector.modify(peer.connection, wanted, self._talk)

    def _tell_events(self, told: int) -> int:
        """Sends events beyond that number; the last one's number. Raises PeerGoneError."""
        if self._peer is not None and self._events.last > told:
            for message in self._events.messages(told, self._sources.outbox().waiting):
                self._peer.send(b'{"kind":"event",' + message[1:])
        return self._events.last

    def _tell_stats(self) -> None:
        """Raises PeerGoneError."""
        if self._peer is not None:
            cameras = tuple(self._sources.config().cameras)
            report = self._stats.report(cameras, self._reader)
            self._peer.send(_line("stats", payloads.stats(self._device, report, self._sources.outbox())))

    def _listen(self) -> None:
        """Has those who connect let in."""
        if self._rendezvous.socket not in self._selector.get_map():
            self._selector.register(self._rendezvous.socket, selectors.EVENT_READ, self._accept)

    def _look(self) -> None:
        """Notes how everything is now."""
        self._listen()
        status = self._sources.status()
        self._hour.add({name: status.cameras.get(name) for name in status.config.cameras})
        self._look_at_broker()

    def _look_at_broker(self) -> None:
        if self._broker.look():
            self._send_soon(self._broker.line())

    def _watch(self, cameras: frozenset[str]) -> None:
        self._watched = cameras

    def _send_soon(self, line: bytes) -> None:
        """From any thread; nothing is kept while there is no peer."""
        if self._peer is not None:
            self._soon.append(line)
            self._rouse()

    def _rouse(self) -> None:
        with suppress(OSError):  # full: it is being woken already; closed: it has ended
            os.write(self._wake, b"\0")

    def _drain(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._woken, 4096)


def _line(kind: str, payload: bytes) -> bytes:
    """A payload, a JSON object, with its kind in front."""
    return b'{"kind":"%b",%b' % (kind.encode(), payload[1:])

"""The thread that sends what holds for the moment: frames, states and statistics; nothing of it waits on disk."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from daemon.config.schema import Config
from daemon.mqtt.link import Link
from daemon.mqtt.outgoing import FrameReceipt, Handover
from daemon.mqtt.topics import DeviceTopics
from daemon.publish import payloads
from daemon.publish.formats.format import FrameMessage
from daemon.publish.outgoing_frame import OutgoingFrame
from daemon.publish.retained_sender import RetainedSender
from daemon.records import Drop, FrameResult
from daemon.stats import CameraCount, DaemonCount, Stats
from daemon.system.thread_scheduling import request_short_slice
from daemon.system.worker_thread import WorkerThread

_INBOX = 256  # results that wait for the thread
_AT_ONCE = 8  # of them that it takes; the more, the less it and those that give wake each other, and the older they get
_FULL_NETWORK = 0.01  # seconds until a full network is tried again, at the latest


class FrameSender:
    """Owns the thread `publish`; no caller ever waits.

    Of live cameras the oldest waiting frame makes room for the newest, and what finds no broker is dropped; each
    drop is counted. Frames of files wait for the broker, and no live one waits behind them: credits bound how many
    there are. What is retained is sent again after every reconnect.
    """

    def __init__(
        self,
        config: Config,
        link: Link,
        stats: Stats,
        retained: RetainedSender,
        report: Callable[[], Sequence[FrameMessage]],
        done: Callable[[FrameResult, bool], None],
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        """`report` makes the messages of every `mqtt.stats_every` seconds; `on_fatal` gets unexpected errors.

        `done` is called once for each result that is sent or dropped; true: of the messages of other formats.
        """
        self._device = config.device
        self._topics = DeviceTopics.of(config.mqtt.prefix, config.device)
        self._link = link
        self._stats = stats
        self._report = report
        self._done = done
        self._every = config.mqtt.stats_every
        self._next_stats = time.monotonic() + self._every
        self._detections: dict[str, str] = {}
        self._zoned: set[str] = set()
        """cameras with zones"""
        self._room = threading.Event()
        """something has been written since the thread last waited for that"""
        self._thread = WorkerThread("publish", self._run, on_fatal)
        self._retained = retained
        self._changed = retained.changed
        """guards what follows; notified when a result, a state or room comes, the link changes or the end begins"""
        self._live: deque[OutgoingFrame] = deque()
        self._files: deque[OutgoingFrame] = deque()
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
            self._zoned = {name for name, camera in config.cameras.items() if camera.zones}
            self._retained.configure(set(config.cameras))

    def results(self, results: Sequence[FrameResult]) -> None:
        """Takes results for our own messages; returns at once.

        The thread is woken once for all: each thread that wakes takes the interpreter from those that decode.
        """
        with self._changed:
            for result in results:
                self._stats.count(CameraCount.HANDED_ON, result.camera)
                self._put(OutgoingFrame(result, None))
            self._changed.notify_all()

    def formatted(self, result: FrameResult, messages: Sequence[FrameMessage]) -> None:
        """Takes the messages that other formats have for a frame; returns at once."""
        with self._changed:
            self._put(OutgoingFrame(result, tuple(messages)))
            self._changed.notify_all()

    def waiting(self) -> int:
        """Frames that wait for the thread."""
        return len(self._live) + len(self._files)

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

    def _put(self, frame: OutgoingFrame) -> None:
        """With the lock."""
        queue = self._live if frame.result.live else self._files
        if self._closed:
            self._drop(frame, Drop.PUBLISH_QUEUE)
            return
        if frame.result.live and len(queue) >= _INBOX:
            self._drop(queue.popleft(), Drop.PUBLISH_QUEUE)
        queue.append(frame)

    def _drop(self, frame: OutgoingFrame, reason: Drop) -> None:
        """A frame whose own message finds no broker is not counted once more for those of other formats."""
        if frame.formatted is None:
            self._stats.dropped(frame.result.camera, reason)
        elif reason is not Drop.NOT_CONNECTED:
            queue = reason is Drop.PUBLISH_QUEUE
            self._stats.dropped(frame.result.camera, Drop.FORMATS_QUEUE if queue else reason)
        self._done(frame.result, frame.formatted is not None)

    def _run(self) -> None:
        try:
            request_short_slice()
            while not self._drained():
                live, files = self._take()
                self._retained.send()
                for frame in live:
                    self._send(frame)
                self._send_files(files)
                self._send_stats()
                self._retained.remember()
        finally:
            with self._changed:
                self._closed = True
                self._retained.remember()

    def _drained(self) -> bool:
        with self._changed:
            left = self._live or self._files or self._retained.sendable() or self._retained.due() is not None
            return self._closed and not left

    def _take(self) -> tuple[list[OutgoingFrame], int]:
        """Waits for something to do; the oldest live frames, and how many of files there is time for then."""
        with self._changed:
            connected = self._link.state.connected
            files = connected or self._hurried
            held = self._retained.due()
            closed = self._closed and held is None
            if not self._live and not (self._files and files) and not self._retained.sendable() and not closed:
                due = [at for at in (held, self._next_stats if connected else None) if at is not None]
                self._changed.wait(max(0.0, min(due) - time.monotonic()) if due else None)
                connected = self._link.state.connected
                files = connected or self._hurried
            at_once = _AT_ONCE if connected else 1  # what was taken can make no room for what is newer
            live = [self._live.popleft() for _ in range(min(at_once, len(self._live)))]
            return live, max(1, at_once - len(live)) if files else 0

    def _send_files(self, count: int) -> None:
        """Sends so many frames of files; what has to wait stays where it is."""
        for _ in range(count):
            if not self._files or not self._send(self._files[0]):
                return
            self._files.popleft()

    def _send(self, frame: OutgoingFrame) -> bool:
        """False where a frame of a file has to wait; another one is waited with for room in the network, or dropped.

        It counts as published when its own message is written.
        """
        result = frame.result
        messages = self._messages(frame)
        receipt = FrameReceipt(result.camera, result.captured_mono) if frame.formatted is None else None
        sent, whole = 0, True
        while sent < len(messages):
            handover = self._link.publish(*messages[sent], receipt=receipt)
            if handover is not Handover.NO_ROOM:
                whole &= handover is Handover.TAKEN
                sent += 1
                continue
            if not self._link.state.connected:
                if not result.live and not self._hurried:
                    return False
                self._drop(frame, Drop.NOT_CONNECTED)
                break
            self._stats.count_daemon(DaemonCount.NETWORK_FULL)
            if not result.live and sent == 0 and self._live:
                return False
            self._room.wait(_FULL_NETWORK)
            self._room.clear()  # before the next attempt: what is written after that one sets it again
            self._retained.send()
        else:
            if whole:
                self._done(result, frame.formatted is not None)
            else:
                self._drop(frame, Drop.PACKET_TOO_LARGE)
        if frame.formatted is None:
            self._stats.count_daemon(DaemonCount.RESULTS_FINISHED)
        return True

    def _messages(self, frame: OutgoingFrame) -> Sequence[FrameMessage]:
        if (topic := self._detections.get(frame.result.camera)) is None:
            return ()  # the camera has just been removed
        if frame.formatted is not None:
            return frame.formatted
        return ((topic, payloads.detections(self._device, frame.result, zones=frame.result.camera in self._zoned)),)

    def _send_stats(self) -> None:
        """If it is time for them. Without a broker the report waits, and then covers all the time since the last."""
        now = time.monotonic()
        if now >= self._next_stats and self._link.state.connected:
            for topic, payload in self._report():
                self._link.publish(topic, payload)
            self._next_stats = now + self._every

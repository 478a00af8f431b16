"""The thread that writes events to the outbox and sends them."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from daemon.config.outbox import Outbox as Settings
from daemon.mqtt.outgoing import Delivery, Handover, Refusal
from daemon.outbox.capture_times import CaptureTimes
from daemon.outbox.disk_or_memory import Recovery, Storage
from daemon.outbox.drop_log import DropLog
from daemon.outbox.order import RETRY_REFUSED, SendScheduler
from daemon.outbox.put_queue import NOTHING, Kept, Put, PutQueue
from daemon.outbox.replay import as_sent
from daemon.outbox.sqlite_file import StoredMessage
from daemon.records import OutboxCounts
from daemon.system.log_states import state_of
from daemon.system.worker_thread import WorkerThread

log = logging.getLogger("ospreyd.outbox")
_RETRY_DISK = 1.0  # seconds until a failed disk is tried again
_CLOSING = 0.05  # seconds between two checks of the deadline while stopping
_FULL_NETWORK = 0.01  # seconds until a full network queue is tried again


class OutboxSender:
    """Owns the thread `outbox` and the file. Sends messages once they are on disk, in order within each topic.

    The backlog of a new connection is marked as replayed and sent at `replay_rate` at most; new messages on other
    topics do not wait for it. Raises UsageError if another process uses the file.
    """

    def __init__(
        self,
        path: Path,
        settings: Settings,
        deliver: Callable[[str, bytes], Delivery | Handover],
        on_fatal: Callable[[BaseException], None],
        on_latency: Callable[[float], None] = lambda _seconds: None,
        recovery: Recovery | None = None,
    ) -> None:
        """`on_latency` gets the seconds from the `since` of `put` until the broker's acknowledgement."""
        self._storage = Storage(path, settings)
        self._recovery = recovery or Recovery()
        self._deliver = deliver
        self._on_latency = on_latency
        self._thread = WorkerThread("outbox", self._run, on_fatal)
        self._changed = threading.Condition()
        """guards what follows; notified when a message or an answer arrives, the link changes or the end begins"""
        self._inbox = PutQueue()
        self._answers: deque[tuple[Delivery, Refusal | None]] = deque()
        self._connections = 0
        """number of connections so far: notices one that came and went between two checks"""
        self._connected = self._closed = False
        self._drop_log = DropLog()
        self._uncounted_drops = 0
        """messages dropped without the file, which does not count them yet"""
        self._unwritten: str | None = None
        """why the file could not be written last; None: it could"""
        self._end_by = 0.0
        self._awaiting = False
        """messages are in flight; set by the thread before it sends"""
        self._serving = 0  # this and what follows are used by the thread only
        self._scheduler = SendScheduler(self._storage.outbox.newest_rows, settings.replay_rate)
        self._captured = CaptureTimes()
        self._finished: set[int] = set()
        """rows on disk that the broker has acknowledged or refused for good"""
        self._send_again = self._write_again = 0.0

    def start(self) -> None:
        """Starts the thread, and writes what was put before unless there is a connection already."""
        if not self._connected:
            self._write()
        self._thread.start()

    @property
    def kept(self) -> Mapping[str, bytes]:
        """What the file kept when it was opened, by key; to be asked before `start`."""
        return self._storage.outbox.kept

    def put(self, topic: str, payload: bytes, since: float, kept: Kept = NOTHING, clock: float | None = None) -> None:
        """Queues a message about what was captured at `since`, time.monotonic(); returns at once.

        It survives a crash of the process once the thread has written it. The same transaction keeps the values of
        `kept` by key, and deletes those that are None. `clock`: see Put.
        """
        self._put(Put((topic, payload), since, kept, clock=clock))

    def keep(self, kept: Kept, *on_done: Callable[[], None]) -> None:
        """Keeps values without a message; returns at once. See Put.on_done."""
        self._put(Put(None, 0.0, kept, on_done))

    def _put(self, put: Put) -> None:
        with self._changed:
            lost = self._inbox.add(put)
            self._drop_log.add(lost)
            self._uncounted_drops += lost
            self._changed.notify()

    def acknowledged(self, delivery: Delivery, refusal: Refusal | None) -> None:
        """Takes the broker's answer to a message, in the link's thread; ignores messages of others."""
        if self._awaiting:
            with self._changed:
                self._answers.append((delivery, refusal))
                self._changed.notify()

    @property
    def is_awaiting(self) -> bool:
        """Whether messages are in flight."""
        return self._awaiting

    @property
    def counts(self) -> OutboxCounts:
        """Messages that wait on disk or in memory, and dropped ones; from any thread, without disk access."""
        with self._changed:
            waiting = self._storage.outbox.waiting + self._inbox.messages
            dropped = self._storage.outbox.dropped + self._uncounted_drops
            return OutboxCounts(waiting, dropped, self._storage.problem or self._unwritten)

    def link_changed(self, connected: bool) -> None:
        """Takes the state of the link."""
        with self._changed:
            self._connected = connected
            self._connections += connected
            self._changed.notify()

    def stop(self, timeout: float) -> bool:
        """Writes what is queued and sends for `timeout` seconds; False if that took longer. The rest stays on disk."""
        with self._changed:
            self._closed = True
            self._end_by = time.monotonic() + timeout
            self._changed.notify()
        return self._thread.join(timeout + 1.0)  # a write to the disk is not interrupted

    def _run(self) -> None:
        try:
            while self._run_once():
                pass
        finally:
            self._move_to_disk()
            self._write()
            self._storage.close()

    def _run_once(self) -> bool:
        """Waits for work and does it; False at the end."""
        with self._changed:
            if not self._has_news():
                self._changed.wait(self._idle())
            answers, self._answers = self._answers, deque()
            connected, connections, closed = self._connected, self._connections, self._closed
        self._take_answers(answers)
        if connected and connections != self._serving:  # before writing what is queued, which is not backlog
            self._serving = connections
            self._scheduler.connected(time.monotonic())
            self._send_again = 0.0
        if time.monotonic() >= self._storage.due:
            self._move_to_disk(connected)
        self._write()
        if connected:
            self._send()
        if self._uncounted_drops:
            self._write()  # deletes what was just given up
        self._awaiting = self._scheduler.is_awaiting
        with self._changed:
            self._drop_log.write(closed)
        return not (closed and self._is_done(connected))

    def _has_news(self) -> bool:
        connection = self._connected and self._connections != self._serving
        return bool(self._answers) or connection or (bool(self._inbox) and time.monotonic() >= self._write_again)

    def _idle(self) -> float | None:
        """Seconds until there is work without a notification; None: never."""
        due = [self._storage.due, *([self._write_again] if self._inbox else ())]
        if self._connected and (sendable := self._scheduler.due()) is not None:
            due.append(max(sendable, self._send_again))
        now = time.monotonic()
        if self._closed:
            due.append(now + _CLOSING)
        return max(0.0, min(due) - now) if min(due) < math.inf else None

    def _is_done(self, connected: bool) -> bool:
        is_empty = not self._inbox and not (connected and not self._scheduler.finished)
        return is_empty or time.monotonic() >= self._end_by

    def _take_answers(self, answers: deque[tuple[Delivery, Refusal | None]]) -> None:
        for delivery, refusal in answers:
            final = refusal is not None and refusal.final
            answer = self._scheduler.answered(delivery, refusal is not None and not final, time.monotonic())
            if answer is None:
                continue
            if refusal is not None and final:
                self._give_up(answer.topic, answer.row, refusal.reason)
                continue
            about = state_of("topic", answer.topic)
            if answer.changed and refusal is not None:
                warning = "the broker refuses an event on %s: %s; retrying every %g s"
                log.warning(warning, answer.topic, refusal.reason, RETRY_REFUSED, extra=about)
            elif answer.changed:
                log.info("the broker accepts events on %s again", answer.topic, extra=about)
            if refusal is None:
                self._finished.add(answer.row)
                if (since := self._captured.pop(answer.row)) is not None:
                    self._on_latency(time.monotonic() - since)

    def _move_to_disk(self, connected: bool = False) -> None:
        """Where events wait in memory, tries to use the file; what was in flight is sent again from there."""
        if self._storage.problem is None:
            return
        self._write()
        moved = self._storage.to_disk(self._recovery.stale)
        if moved is None:
            return
        self._captured.move(moved.rows)
        self._scheduler = SendScheduler(moved.newest_rows, self._scheduler.rate)
        if connected:
            self._scheduler.connected(time.monotonic())
        self._recovery.recovered(moved.kept)

    def _write(self) -> None:
        """Writes queued messages and deletes finished ones, in one transaction."""
        if time.monotonic() < self._write_again:
            return
        with self._changed:
            added = self._inbox.take()
            lost, self._uncounted_drops = self._uncounted_drops, 0
        if added or self._finished:
            self._update(added, lost)
        for done in (done for put in added for done in put.on_done):
            done()

    def _update(self, added: list[Put], lost: int) -> None:
        kept = {key: value for put in added for key, value in put.kept.items()}
        messages = [(put.message, put) for put in added if put.message]
        try:
            dropped = self._storage.outbox.update([one for one, _ in messages], self._finished, lost, kept)
        except OSError as error:
            if self._unwritten is None:
                log.error("%s; events are kept in memory", error, extra=state_of("outbox"))  # noqa: TRY400  complete
            self._unwritten = str(error)
            self._write_again = time.monotonic() + _RETRY_DISK
            with self._changed:
                self._inbox.give_back(added)
                self._uncounted_drops += lost
            return
        if self._unwritten is not None:
            log.info("the outbox can be written again", extra=state_of("outbox"))
        self._unwritten, self._write_again = None, 0.0
        self._finished.clear()
        for row, ((topic, _), put) in enumerate(messages, self._storage.outbox.last - len(messages) + 1):
            self._scheduler.add(topic, row)
            self._captured.add(row, put.since, put.clock)
        with self._changed:
            self._drop_log.add(dropped)

    def _send(self) -> None:
        now = time.monotonic()
        while now >= self._send_again and (batch := self._scheduler.next(now)) is not None:
            try:
                found = self._storage.outbox.read_after(batch.after, batch.count, batch.topic)
            except OSError as error:
                log.error("%s; retrying", error)  # noqa: TRY400  the message is complete
                self._send_again = now + _RETRY_DISK
                return
            if not found:
                self._scheduler.skip(batch.topic)  # dropped because of max_mb or max_age_hours
            for message in found:
                if not self._hand_over(message, now):
                    self._send_again = now + _FULL_NETWORK
                    return

    def _hand_over(self, message: StoredMessage, now: float) -> bool:
        """Hands a message to the network; False if that has no room."""
        topic, row = message.topic, message.row
        if row in self._finished:
            self._scheduler.skip(topic, row)
            return True
        self._awaiting = True  # before the broker can acknowledge it
        set_by, late = self._captured.correction(row), self._scheduler.in_backlog(topic, row)
        delivery = self._deliver(topic, as_sent(message.payload, set_by, late=late))
        if isinstance(delivery, Delivery):
            self._scheduler.sent(topic, row, delivery, now)
        elif delivery is Handover.TOO_LARGE:
            self._scheduler.skip(topic, row)
            self._give_up(topic, row, "it is too large")
        return delivery is not Handover.NO_ROOM

    def _give_up(self, topic: str, row: int, why: str) -> None:
        """Drops an event that the broker refuses for good."""
        log.error("an event on %s is dropped: the broker refuses it: %s", topic, why)
        self._finished.add(row)
        self._captured.pop(row)
        with self._changed:
            self._uncounted_drops += 1

"""The thread that writes events to the outbox and sends what is in it."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from daemon.config.outbox import Outbox as Settings
from daemon.mqtt.outgoing import Delivery, Handover, Refusal
from daemon.outbox.order import REFUSED, Order
from daemon.outbox.replay import replayed
from daemon.outbox.store import Outbox, Waiting
from daemon.records import OutboxCounts
from daemon.system.worker_thread import WorkerThread

log = logging.getLogger("ospreyd.outbox")

_INBOX = 10_000  # messages that wait to be written while the disk does not work
_AGAIN = 1.0  # seconds until a disk that failed is tried again
_TELL_EVERY = 60.0  # seconds between two warnings of dropped messages
_CLOSING = 0.05  # seconds between two looks at the time while stopping
_FULL_NETWORK = 0.01  # seconds until a full network queue is tried again


class OutboxSender:
    """Owns the thread `outbox` and the file. Messages are sent once they are on disk, in order for each topic.

    What waits when a connection begins is marked as late and sent at `replay_rate` at most, beside what is new on
    other topics. Raises UsageError where the file cannot be used.
    """

    def __init__(
        self,
        path: Path,
        settings: Settings,
        deliver: Callable[[str, bytes], Delivery | Handover],
        on_fatal: Callable[[BaseException], None],
        took: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        """`took` gets the seconds from what `put` was told until the broker's acknowledgement."""
        self._outbox = Outbox(path, settings)
        self._deliver = deliver
        self._took = took
        self._thread = WorkerThread("outbox", self._run, on_fatal)
        self._changed = threading.Condition()
        """guards what follows; notified when there is something to write or an answer, and at the end"""
        self._inbox: deque[tuple[str, bytes, float]] = deque()
        self._answers: deque[tuple[Delivery, Refusal | None]] = deque()
        self._connections = 0
        """how many there were; so one that comes and goes between two looks is noticed"""
        self._connected = False
        self._closed = False
        self._lost = 0
        """messages dropped since that was last told"""
        self._unwritten = 0
        """messages, dropped from the inbox or given up, that the file does not count yet"""
        self._end_by = 0.0
        self._awaiting = False
        """messages are under way, so answers are of interest; written by the thread before it sends"""
        # of the thread alone
        self._serving = 0
        self._order = Order(self._outbox.found, settings.replay_rate)
        self._since: dict[int, float] = {}
        """of rows that this process has written"""
        self._done: set[int] = set()
        """rows that the broker has, still on disk"""
        self._send_again = 0.0
        self._write_again = 0.0
        self._told = -_TELL_EVERY

    def start(self) -> None:
        """Begins to write and to send."""
        self._thread.start()

    def put(self, topic: str, payload: bytes, since: float) -> None:
        """Takes a message of what was to be seen at `since`, time.monotonic(); returns at once.

        It counts as having happened when the thread has written it.
        """
        with self._changed:
            if len(self._inbox) >= _INBOX:
                self._inbox.popleft()
                self._lost += 1
                self._unwritten += 1
            self._inbox.append((topic, payload, since))
            self._changed.notify()

    def acknowledged(self, delivery: Delivery, refusal: Refusal | None) -> None:
        """What the broker says to a message; others' messages are ignored. For the link's thread: returns at once."""
        if self._awaiting:
            with self._changed:
                self._answers.append((delivery, refusal))
                self._changed.notify()

    @property
    def awaiting(self) -> bool:
        """Whether messages are under way, whose acknowledgement is of interest."""
        return self._awaiting

    @property
    def counts(self) -> OutboxCounts:
        """What waits, on disk or to be written, and what was dropped; without a look at the disk, for any thread."""
        with self._changed:
            return OutboxCounts(
                waiting=self._outbox.waiting + len(self._inbox), dropped=self._outbox.dropped + self._unwritten
            )

    def link_changed(self, connected: bool) -> None:
        """Takes whether there is a broker."""
        with self._changed:
            self._connected = connected
            self._connections += connected
            self._changed.notify()

    def stop(self, timeout: float) -> bool:
        """Writes what is left and sends what it can; False if that took too long. What is not sent stays on disk."""
        with self._changed:
            self._closed = True
            self._end_by = time.monotonic() + timeout
            self._changed.notify()
        return self._thread.join(timeout + 1.0)  # a write to the disk that is under way ends first

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        finally:
            self._outbox.close()

    def _turn(self) -> bool:
        """Waits for something to do and does it; False at the end."""
        with self._changed:
            if not self._has_news():
                self._changed.wait(self._idle())
            answers, self._answers = self._answers, deque()
            connected, connections, closed = self._connected, self._connections, self._closed
        self._settle(answers)
        if connected and connections != self._serving:  # before what is not written yet: that is not late
            self._serving = connections
            self._order.begin(time.monotonic())
            self._send_again = 0.0
        self._write()
        if connected:
            self._send()
        if self._unwritten:
            self._write()  # what was just given up
        self._awaiting = self._order.awaiting
        self._tell_of_drops()
        return not (closed and self._is_done(connected))

    def _has_news(self) -> bool:
        connection = self._connected and self._connections != self._serving
        return bool(self._answers) or connection or (bool(self._inbox) and time.monotonic() >= self._write_again)

    def _idle(self) -> float | None:
        """Seconds until there is something to do by itself."""
        due = [self._write_again] if self._inbox else []
        if self._connected and (sendable := self._order.due()) is not None:
            due.append(max(sendable, self._send_again))
        now = time.monotonic()
        if self._closed:
            due.append(now + _CLOSING)
        return max(0.0, min(due) - now) if due else None

    def _is_done(self, connected: bool) -> bool:
        if time.monotonic() >= self._end_by:
            return True
        return not self._inbox and not (connected and not self._order.finished)

    def _settle(self, answers: deque[tuple[Delivery, Refusal | None]]) -> None:
        for delivery, refusal in answers:
            final = refusal is not None and refusal.final
            answer = self._order.answered(delivery, refusal is not None and not final, time.monotonic())
            if answer is None:
                continue
            if refusal is not None and final:
                self._give_up(answer.topic, answer.row, refusal.reason)
                continue
            if answer.changed and refusal is not None:
                said = "the broker refuses an event on %s: %s; it is tried again every %g s"
                log.warning(said, answer.topic, refusal.reason, REFUSED)
            elif answer.changed:
                log.info("the broker takes events on %s again", answer.topic)
            if refusal is None:
                self._done.add(answer.row)
                if (since := self._since.pop(answer.row, None)) is not None:
                    self._took(time.monotonic() - since)

    def _write(self) -> None:
        """Writes what waits to be written and takes off what the broker has, in one transaction."""
        if time.monotonic() < self._write_again:
            return
        with self._changed:
            added = list(self._inbox)
            self._inbox.clear()
            lost, self._unwritten = self._unwritten, 0
        if not added and not self._done:
            return
        try:
            dropped = self._outbox.update([(topic, payload) for topic, payload, _ in added], self._done, lost)
        except OSError as error:
            if not self._write_again:
                log.error("%s; events wait in memory", error)  # noqa: TRY400  the error says it all
            self._write_again = time.monotonic() + _AGAIN
            with self._changed:
                self._inbox.extendleft(reversed(added))
                self._unwritten += lost
            return
        if self._write_again:
            log.info("the outbox can be written again")
        self._write_again = 0.0
        self._done.clear()
        first = self._outbox.last - len(added) + 1
        for row, (topic, _, since) in enumerate(added, first):
            self._order.written(topic, row)
            self._since[row] = since
        while len(self._since) > _INBOX:  # of a long outage only the newest
            del self._since[next(iter(self._since))]
        with self._changed:
            self._lost += dropped

    def _send(self) -> None:
        now = time.monotonic()
        while now >= self._send_again and (turn := self._order.next(now)) is not None:
            try:
                found = self._outbox.after(turn.after, turn.count, turn.topic)
            except OSError as error:
                log.error("%s; it is tried again", error)  # noqa: TRY400  the error says it all
                self._send_again = now + _AGAIN
                return
            if not found:
                self._order.passed(turn.topic)  # dropped for want of room, or for their age
            for waiting in found:
                if not self._hand_over(waiting, now):
                    self._send_again = now + _FULL_NETWORK
                    return

    def _hand_over(self, waiting: Waiting, now: float) -> bool:
        """To the network; False where that has no room."""
        topic, row, payload = waiting.topic, waiting.row, waiting.payload
        if row in self._done:
            self._order.passed(topic, row)
            return True
        self._awaiting = True  # before the broker can answer
        delivery = self._deliver(topic, replayed(payload) if self._order.is_late(topic, row) else payload)
        if isinstance(delivery, Delivery):
            self._order.sent(topic, row, delivery, now)
        elif delivery is Handover.TOO_LARGE:
            self._order.passed(topic, row)
            self._give_up(topic, row, "it is too large")
        return delivery is not Handover.NO_ROOM

    def _give_up(self, topic: str, row: int, why: str) -> None:
        """Takes an event that the broker will never have off the disk, and counts it as dropped."""
        log.error("an event on %s is dropped: the broker refuses it for good: %s", topic, why)
        self._done.add(row)
        self._since.pop(row, None)
        with self._changed:
            self._unwritten += 1

    def _tell_of_drops(self) -> None:
        now = time.monotonic()
        with self._changed:
            lost = self._lost
            if not lost or (now - self._told < _TELL_EVERY and not self._closed):
                return
            self._lost = 0
        self._told = now
        log.warning("the outbox dropped its %d oldest events, for want of room or for their age", lost)

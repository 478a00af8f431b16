"""Writes QoS 0 messages to the socket, many in one system call, and reports which were written."""

from __future__ import annotations

import ssl
import threading
from collections import deque
from collections.abc import Callable, Sequence

from daemon.mqtt.outgoing import FrameReceipt
from daemon.mqtt.sockets import Socket

_QUEUE = 256  # messages
_BATCH = 65536  # bytes written at once, or one message; the socket's buffer is seldom larger


class BatchWriter:
    """Of one connection. Each receipt that was added is passed to `on_written` or returned by `close`, once."""

    def __init__(self, on_written: Callable[[Sequence[FrameReceipt]], None], wake: Callable[[], None]) -> None:
        """`on_written` gets receipts of messages that the socket has, in the writing thread; `wake` wakes it."""
        self._on_written = on_written
        self._wake = wake
        self._changed = threading.Condition()
        """guards the next two; notified when nothing is left to write"""
        self._queue: deque[tuple[bytes, FrameReceipt | None]] = deque()
        self._closed = False
        # used by the writing thread only
        self._remaining = b""
        """bytes of the current batch that are not written yet"""
        self._sent = 0
        """bytes of the current batch that are written"""
        self._in_batch: deque[tuple[int, FrameReceipt | None]] = deque()
        """messages of the current batch: the byte at which each ends, and its receipt"""

    def add(self, packet: bytes, receipt: FrameReceipt | None) -> bool:
        """Queues a packet, from any thread; False if the queue is full or the connection has ended."""
        with self._changed:
            if self._closed or len(self._queue) >= _QUEUE:
                return False
            first = not self._queue
            self._queue.append((packet, receipt))
        if first:  # the wake-up for the first message serves the later ones
            self._wake()
        return True

    @property
    def mid_write(self) -> bool:
        """Whether a batch is partly written; nothing else may be written before its rest."""
        return bool(self._remaining)

    @property
    def has_pending(self) -> bool:
        """Whether anything is left to write."""
        return bool(self._remaining or self._queue)

    def write(self, socket: Socket) -> bool:
        """Writes one batch, or as much of it as the socket takes; False if the connection is broken."""
        if not self._remaining:
            self._next_batch()
        try:
            sent = socket.send(self._remaining)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return True
        except OSError:
            return False
        self._advance(sent)
        return True

    def wait_written(self, timeout: float) -> bool:
        """Waits until nothing is left to write; False after `timeout` seconds or if the connection has ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self.has_pending, timeout)
            return not self.has_pending

    def close(self) -> list[FrameReceipt]:
        """Refuses further messages; returns the receipts of those that were not written."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        return [receipt for _, receipt in (*self._in_batch, *self._queue) if receipt is not None]

    def _next_batch(self) -> None:
        packets = []
        size = 0
        with self._changed:
            while self._queue and size < _BATCH:
                packet, receipt = self._queue.popleft()
                packets.append(packet)
                size += len(packet)
                self._in_batch.append((size, receipt))
            self._remaining = b"".join(packets)

    def _advance(self, sent: int) -> None:
        self._remaining = self._remaining[sent:]
        self._sent += sent
        written = []
        while self._in_batch and self._in_batch[0][0] <= self._sent:
            written.append(self._in_batch.popleft()[1])
        self._on_written([receipt for receipt in written if receipt is not None])
        if not self._remaining:
            self._sent = 0
            with self._changed:
                if not self._queue:
                    self._changed.notify_all()

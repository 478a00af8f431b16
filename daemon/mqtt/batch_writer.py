"""Messages at QoS 0 on their way to the socket, many in one system call, and which of them have got there."""

from __future__ import annotations

import ssl
import threading
from collections import deque
from collections.abc import Callable, Sequence

from daemon.mqtt.outgoing import Handed
from daemon.mqtt.sockets import Socket

_WAITING = 256  # messages
_BURST = 65536  # bytes that are written at once, or one message; the socket's buffer is seldom larger


class Bursts:
    """Of one connection. Each message that was taken is told as written, or returned by `close`, once."""

    def __init__(self, written: Callable[[Sequence[Handed]], None], wake: Callable[[], None]) -> None:
        """`written` gets frames whose messages the socket has, in the thread that writes; `wake` calls that thread."""
        self._written = written
        self._wake = wake
        self._changed = threading.Condition()
        """guards the next two; notified when nothing is left to write"""
        self._waiting: deque[tuple[bytes, Handed | None]] = deque()
        self._closed = False
        # of the thread that writes alone
        self._rest = b""
        """of the burst that is being written"""
        self._sent = 0
        """bytes of it"""
        self._under_way: deque[tuple[int, Handed | None]] = deque()
        """of its messages: after how many bytes each is written"""

    def add(self, packet: bytes, of: Handed | None) -> bool:
        """Takes a packet, for any thread; False where too many wait or the connection has ended."""
        with self._changed:
            if self._closed or len(self._waiting) >= _WAITING:
                return False
            first = not self._waiting
            self._waiting.append((packet, of))
        if first:  # until it is taken nobody needs to be woken for the others
            self._wake()
        return True

    @property
    def begun(self) -> bool:
        """A part of a burst is written: nothing else may be before its rest."""
        return bool(self._rest)

    @property
    def wants(self) -> bool:
        """There is something to write."""
        return bool(self._rest or self._waiting)

    def write(self, socket: Socket) -> bool:
        """Writes one burst, or as much of it as there is room for; False if the connection is broken."""
        if not self._rest:
            self._take()
        try:
            sent = socket.send(self._rest)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return True
        except OSError:
            return False
        self._advance(sent)
        return True

    def wait_written(self, timeout: float) -> bool:
        """Waits until nothing is left to write; False if that takes longer, or there is no connection any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self.wants, timeout)
            return not self.wants

    def close(self) -> list[Handed]:
        """No more are taken; frames whose messages have not been written."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        return [of for _, of in (*self._under_way, *self._waiting) if of is not None]

    def _take(self) -> None:
        packets = []
        size = 0
        with self._changed:
            while self._waiting and size < _BURST:
                packet, of = self._waiting.popleft()
                packets.append(packet)
                size += len(packet)
                self._under_way.append((size, of))
            self._rest = b"".join(packets)

    def _advance(self, sent: int) -> None:
        self._rest = self._rest[sent:]
        self._sent += sent
        written = []
        while self._under_way and self._under_way[0][0] <= self._sent:
            written.append(self._under_way.popleft()[1])
        self._written([of for of in written if of is not None])
        if not self._rest:
            self._sent = 0
            with self._changed:
                if not self._waiting:
                    self._changed.notify_all()

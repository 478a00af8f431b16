"""The bounded queue in which commands wait for the thread that executes them."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque

from daemon.control.commands import Order
from daemon.mqtt.incoming import Received

log = logging.getLogger("ospreyd.mqtt")

_SIZE = 64  # commands
_WARN_EVERY = 10.0  # seconds between two warnings of the same flood


class Inbox:
    """Between the threads that bring commands and the one that takes; those that find it full are dropped and counted.

    The newest is dropped, not the oldest: a flood cannot push out a command that waits already.
    """

    def __init__(self, size: int = _SIZE) -> None:
        self._size = size
        self._changed = threading.Condition()
        self._waiting: deque[Received | Order] = deque()
        self._closed = False
        self._dropped = 0
        self._warned_at = 0.0

    @property
    def dropped(self) -> int:
        """Messages that found it full, since the start."""
        return self._dropped

    def put(self, message: Received | Order) -> bool:
        """Returns at once; False: it was full."""
        with self._changed:
            if len(self._waiting) < self._size:
                self._waiting.append(message)
                self._changed.notify()
                return True
            self._dropped += 1
            now = time.monotonic()
            warn = now - self._warned_at >= _WARN_EVERY or self._dropped == 1
            if warn:
                self._warned_at = now
        if warn:
            log.warning("command queue full: %d dropped so far", self._dropped)
        return False

    def take(self) -> Received | Order | None:
        """Waits for the oldest message; None when the inbox is closed, whatever still waits."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            return None if self._closed else self._waiting.popleft()

    def close(self) -> None:
        """Ends the waiting of `take`."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

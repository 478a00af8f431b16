"""A thread that opens and closes sessions, so that the inference worker need not: both may take seconds."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue

from daemon.system.log_states import state_of
from daemon.system.worker_thread import WorkerThread
from engines.records import DetectorSession

_log = logging.getLogger("ospreyd")


def close_session(model: str, session: DetectorSession) -> None:
    """An error is logged and no more: nothing waits for a session that is no longer used."""
    try:
        session.close()
    except Exception:
        _log.exception("model %s: closing its session failed", model, extra=state_of("model", model))


class SessionLoader:
    """Does what it is given in a thread named `load`, in order."""

    def __init__(self, on_fatal: Callable[[BaseException], None]) -> None:
        """`on_fatal` gets the exception that ends the thread."""
        self._inbox: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = threading.Lock()
        """guards the end: nothing is put into the inbox behind its None"""
        self._stopped = False
        self._thread = WorkerThread("load", self._run, on_fatal)

    def start(self) -> None:
        """Begins with what was put first; returns at once."""
        self._thread.start()

    def put(self, work: Callable[[], None]) -> bool:
        """Has the thread do some work, before or after the start; returns at once. False: it is being stopped."""
        with self._lock:
            if not self._stopped:
                self._inbox.put(work)
            return not self._stopped

    def stop(self) -> None:
        """Takes no more work and asks the thread to end after what it has; returns at once."""
        with self._lock:
            if not self._stopped:
                self._stopped = True
                self._inbox.put(None)

    def join(self, timeout: float) -> bool:
        """Whether the thread has ended within `timeout` seconds."""
        return self._thread.join(timeout)

    def _run(self) -> None:
        while (work := self._inbox.get()) is not None:
            work()

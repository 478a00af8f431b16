"""The thread `tell` of a shard's process: writes all that the shard has for the daemon, in order and in batches."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from numbers import Number

from daemon.app.shard_link import LinkLostError, packed
from daemon.app.shard_messages import Beat, Results
from daemon.records import Drop, FrameResult
from daemon.stats import Stats
from daemon.system.log_states import state_in, state_of
from daemon.system.thread_scheduling import request_short_slice
from daemon.system.worker_thread import WorkerThread

_INBOX = 256  # results of live cameras that wait
_BEAT = 0.5  # seconds between two messages of what was counted
_ATTRIBUTES = frozenset(logging.makeLogRecord({}).__dict__)
"""that every record has"""


class Teller:
    """No caller waits. Of live cameras the oldest result makes room for the newest and is counted."""

    def __init__(
        self,
        connection: socket.socket,
        stats: Stats,
        beat: Callable[[], Beat],
        pack: Callable[[Sequence[FrameResult]], Results],
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        """`connection` waits until the daemon reads; `beat` and `pack` are called in the thread.

        `on_fatal` gets the error where nobody reads any more.
        """
        self._connection = connection
        self._stats = stats
        self._beat = beat
        self._pack = pack
        self._changed = threading.Condition()
        """guards what follows"""
        self._inbox: deque[object] = deque()
        self._live: deque[list[FrameResult]] = deque()
        """the lists of live results that are in the inbox"""
        self._closed = False
        self._thread = WorkerThread("tell", self._run, on_fatal)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def tell(self, message: object) -> None:
        """Tells a message after all those before; returns at once."""
        with self._changed:
            self._inbox.append(message)
            self._changed.notify()

    def results(self, results: Sequence[FrameResult]) -> None:
        """Tells results after all messages before; returns at once."""
        with self._changed:
            for live in (True, False):
                if some := [result for result in results if result.live is live]:
                    self._inbox.append(some)
                    if live:
                        self._live.append(some)
            while sum(map(len, self._live)) > _INBOX:
                self._drop_oldest()
            self._changed.notify()

    def finish(self, timeout: float) -> bool:
        """Tells what waits and what was counted, and ends the thread; False if that took too long."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        with suppress(RuntimeError):  # called in the thread itself, which cannot tell any more
            return self._thread.join(timeout)
        return False

    def _drop_oldest(self) -> None:
        """With the lock."""
        oldest = self._live[0]
        self._stats.dropped(oldest.pop(0).camera, Drop.PUBLISH_QUEUE)
        if not oldest:
            self._live.popleft()

    def _run(self) -> None:
        request_short_slice()
        due = time.monotonic()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._inbox or self._closed, max(0.0, due - time.monotonic()))
                work, closed = list(self._inbox), self._closed
                self._inbox.clear()
                self._live.clear()
            if time.monotonic() >= due or closed:
                due = time.monotonic() + _BEAT
                work.append(self._beat())
            try:
                self._connection.sendall(b"".join(map(self._packed, work)))
            except OSError as error:
                raise LinkLostError(error.strerror) from None
            if closed:
                return

    def _packed(self, work: object) -> bytes:
        if not isinstance(work, list):
            return packed(work)
        return packed(self._pack(work)) if work else b""


class LogForwarder(logging.Handler):
    """Tells lines of the log, which the daemon writes: they are counted, kept and shown there."""

    def __init__(self, tell: Callable[[object], None]) -> None:
        super().__init__()
        self._tell = tell
        self._lines = logging.Formatter()

    def emit(self, record: logging.LogRecord) -> None:
        """Without what cannot leave the process: what is an object becomes text, and what others add is left out."""
        state = state_in(record)
        known = {name: value for name, value in record.__dict__.items() if name in _ATTRIBUTES}
        copy = logging.makeLogRecord(known | ({} if state is None else state_of(state.kind, state.name, state.common)))
        if record.exc_info:
            copy.exc_text = self._lines.formatException(record.exc_info)
        copy.exc_info = None
        if isinstance(record.args, tuple):
            copy.msg = str(record.msg)
            copy.args = tuple(each if isinstance(each, (str, Number)) else str(each) for each in record.args)
        else:
            copy.msg, copy.args = record.getMessage(), None
        self._tell(copy)

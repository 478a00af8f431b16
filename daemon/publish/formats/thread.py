"""The thread in which the other formats work, so that a slow one delays no message of our own."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from daemon.config.schema import Config
from daemon.control.settings import Setting, Value
from daemon.mqtt.incoming import Received
from daemon.publish.formats.fanout import Formats
from daemon.publish.formats.format import FrameMessage
from daemon.records import DaemonInfo, DaemonStats, Drop, Event, FrameResult
from daemon.stats import DaemonCount, Stats
from daemon.system.thread_scheduling import request_short_slice
from daemon.system.worker_thread import WorkerThread

_INBOX = 256  # results of live cameras that wait
_ECHOES = 4096  # of everything that waits, from which on messages that come back are ignored


class FormatsThread:
    """Owns the thread `formats`, where there is a format. Its callers never wait.

    Its inbox keeps the order of events, results and configurations. Of live cameras the oldest waiting result makes
    room for the newest and is counted; everything else is kept.
    """

    def __init__(
        self,
        formats: Formats,
        send: Callable[[FrameResult, Sequence[FrameMessage]], None],
        publish: Callable[[str, bytes], object],
        stats: Stats,
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        """`send` gets every result with the messages that it has in all formats; `publish` other transient messages."""
        self._formats = formats
        self._send = send
        self._publish = publish
        self._stats = stats
        self._thread = WorkerThread("formats", self._run, on_fatal)
        self._changed = threading.Condition()
        """guards what follows"""
        self._inbox: deque[FrameResult | Callable[[], object]] = deque()
        self._live = 0
        """results of live cameras in it"""
        self._end_by: float | None = None
        """time.monotonic() from which on results are dropped; None while nothing is to end"""

    def start(self) -> None:
        """Starts the thread; without a format there is nothing to do."""
        if self._formats:
            self._thread.start()

    def stop(self, timeout: float) -> bool:
        """Handles the queue, results for half of `timeout` seconds, and closes the formats; False if that was late."""
        with self._changed:
            self._end_by = time.monotonic() + timeout / 2
            self._changed.notify()
        return self._thread.join(timeout)

    def waiting(self) -> int:
        """Results, events and configurations that wait for the thread."""
        return len(self._inbox)

    def configure(self, config: Config, info: DaemonInfo) -> None:
        """See Formats.configure."""
        self._put(partial(self._formats.configure, config, info))

    def event(self, event: Event) -> None:
        """See Formats.event."""
        self._put(partial(self._formats.event, event))

    def setting(self, camera: str, which: Setting, value: Value) -> None:
        """See Formats.setting."""
        self._put(partial(self._formats.setting, camera, which, value))

    def stats(self, report: DaemonStats) -> None:
        """Publishes the formats' statistics."""
        self._put(partial(self._report, report))

    def echo(self, message: Received) -> None:
        """See Formats.echo; in a flood of messages they are ignored."""
        if len(self._inbox) < _ECHOES:
            self._put(partial(self._formats.echo, message))

    def results(self, results: Sequence[FrameResult]) -> None:
        """Takes results; returns at once."""
        if not self._formats:
            return
        with self._changed:
            for result in results:
                if self._end_by is not None:
                    self._drop(result)
                    continue
                if result.live and self._live >= _INBOX:
                    oldest = next(one for one in self._inbox if isinstance(one, FrameResult) and one.live)
                    self._inbox.remove(oldest)
                    self._live -= 1
                    self._drop(oldest)
                self._live += result.live
                self._inbox.append(result)
            self._changed.notify()

    def _put(self, work: Callable[[], object]) -> None:
        if self._formats:
            with self._changed:
                self._inbox.append(work)
                self._changed.notify()

    def _drop(self, result: FrameResult) -> None:
        self._stats.dropped(result.camera, Drop.FORMATS_QUEUE)
        self._send(result, ())

    def _run(self) -> None:
        request_short_slice()
        while (item := self._take()) is not None:
            if not isinstance(item, FrameResult):
                item()
            elif self._end_by is not None and time.monotonic() > self._end_by:
                self._drop(item)
            else:
                self._formats.result(item)
                self._send(item, () if item.skipped else self._formats.frames(item))
                self._stats.count_daemon(DaemonCount.RESULTS_FORMATTED)
        self._formats.close()

    def _take(self) -> FrameResult | Callable[[], object] | None:
        """Waits for work; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._inbox or self._end_by is not None)
            if not self._inbox:
                return None
            item = self._inbox.popleft()
            self._live -= isinstance(item, FrameResult) and item.live
            return item

    def _report(self, report: DaemonStats) -> None:
        for topic, payload in self._formats.stats(report):
            self._publish(topic, payload)

"""The thread `watchdog`: checks every second whether the pipeline is live, and notifies systemd."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from daemon.records import ModelState
from daemon.service.health import Health, Verdict
from daemon.service.sdnotify import Notifier
from daemon.service.status import StatusRegistry, StatusSnapshot
from daemon.system.log_states import state_of
from daemon.system.worker_thread import WorkerThread
from engines.text import counted

_log = logging.getLogger("ospreyd")
_WATCHDOG = 30.0  # seconds, where systemd sets no WatchdogSec
_EVERY = 1.0  # seconds between two checks; less for a short WatchdogSec
_STARTING = 0.1  # seconds between two checks before READY
_STATUS_EVERY = 5.0  # seconds between two rates in the status; state changes are sent at once


class Watchdog:
    """Feeds the watchdog while the pipeline is live, and sends READY once it is known to work."""

    def __init__(
        self, registry: StatusRegistry, on_fatal: Callable[[BaseException], None], notifier: Notifier | None = None
    ) -> None:
        """`on_fatal` is called with the exception that ended the thread."""
        self._registry = registry
        self._notifier = notifier or Notifier()
        watchdog = self._notifier.watchdog or _WATCHDOG
        self._every = min(_EVERY, watchdog / 8)
        self._health = Health(watchdog / 2)
        self._verdict = Verdict(True, "starting")
        self._ready = False
        self._status = _Status()
        self._stopping = threading.Event()
        self._thread = WorkerThread("watchdog", self._run, on_fatal)

    @property
    def device(self) -> str:
        """Name of the device."""
        return self._registry.snapshot().config.device

    @property
    def verdict(self) -> Verdict:
        """The result of the last check."""
        return self._verdict

    @property
    def ready(self) -> bool:
        """Whether READY was reached: a frame processed, or the state of every camera known."""
        return self._ready

    def start(self) -> None:
        """Starts checking."""
        self._thread.start()

    def stop(self) -> None:
        """Sends STOPPING and asks the thread to end; returns at once."""
        self._stopping.set()
        self._notifier.stopping()

    def join(self, timeout: float) -> bool:
        """Whether the thread has ended within `timeout` seconds."""
        return self._thread.join(timeout)

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """Sends RELOADING, and READY at the end; nothing before the first READY."""
        told = self._ready
        if told:
            self._notifier.reloading()
        try:
            yield
        finally:
            if told:
                self._notifier.ready()

    def _run(self) -> None:
        while not self._stopping.wait(self._every if self._ready else min(_STARTING, self._every)):
            self._look(time.monotonic())

    def _look(self, now: float) -> None:
        snapshot = self._registry.snapshot()
        verdict = self._health.judge(now, snapshot.health_counters())
        if verdict.healthy:
            self._notifier.feed()
        if verdict.healthy is not self._verdict.healthy:
            if verdict.healthy:
                _log.info("frames move again: %s", verdict.reason, extra=state_of("pipeline"))
            else:
                unfed = "%s; the watchdog is not fed until it goes on"
                _log.error(unfed, verdict.reason, extra=state_of("pipeline"))
        self._verdict = verdict
        text = self._status.text(now, snapshot, verdict)
        if text is not None:
            self._notifier.status(text)
        if not self._ready and snapshot.started:
            self._ready = True
            self._notifier.ready()


class _Status:
    """Builds the status line of `systemctl status`."""

    def __init__(self) -> None:
        self._told = ""
        self._next = 0.0
        self._rate = ""
        self._since = time.monotonic()
        self._processed = 0

    def text(self, now: float, snapshot: StatusSnapshot, verdict: Verdict) -> str | None:
        """The new line; None if it did not change."""
        if now >= self._next:
            rate = max(0, snapshot.processed - self._processed) / max(now - self._since, 1e-9)
            self._processed, self._since, self._next = snapshot.processed, now, now + _STATUS_EVERY
            self._rate = f"{rate:.1f} frames/s"
        cameras = counted(len(snapshot.config.cameras), "camera")
        parts = [f"{len(snapshot.streaming)} of {cameras} streaming, {self._rate}"]
        for name, model in snapshot.info.models.items():
            if model.status.state is ModelState.BUILDING:
                parts.append(f"model {name} is being built, {model.status.progress} %")
            elif model.status.state is ModelState.FAILED:
                parts.append(f"model {name} has failed")
        if not snapshot.connected:
            parts.append("no broker")
        if snapshot.outbox_problem is not None:
            parts.append("events wait in memory only")
        if not verdict.healthy:
            parts.append(verdict.reason)
        told, self._told = self._told, "; ".join(parts)
        return None if told == self._told else self._told

"""The thread `service`: judges again and again whether frames move, and tells systemd."""

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
from daemon.system.worker_thread import WorkerThread

_log = logging.getLogger("ospreyd")
_WATCHDOG = 30.0  # seconds that frames are given to move where systemd does not say
_EVERY = 1.0  # seconds between two looks, or less where the watchdog is to be fed more often
_STARTING = 0.1  # seconds between two looks before READY, which somebody may be waiting for
_STATUS_EVERY = 5.0  # seconds between two rates in the status; a change of states is told at once


class Watchdog:
    """Feeds the watchdog while `health` says that frames move, and says READY as soon as that is known."""

    def __init__(
        self, registry: StatusRegistry, on_fatal: Callable[[BaseException], None], notifier: Notifier | None = None
    ) -> None:
        """`on_fatal` takes the exception that ends the thread."""
        self._registry = registry
        self._notifier = notifier or Notifier()
        watchdog = self._notifier.watchdog or _WATCHDOG
        self._every = min(_EVERY, watchdog / 8)
        self._health = Health(watchdog / 2)
        self._verdict = Verdict(True, "starting")
        self._ready = False
        self._status = _Status()
        self._stopping = threading.Event()
        self._thread = WorkerThread("service", self._run, on_fatal)

    @property
    def device(self) -> str:
        """The device whose daemon this is."""
        return self._registry.snapshot().config.device

    @property
    def verdict(self) -> Verdict:
        """Whether frames moved when that was judged last."""
        return self._verdict

    @property
    def ready(self) -> bool:
        """Whether a frame has been processed, or the state of every camera was known once."""
        return self._ready

    def start(self) -> None:
        """Begins to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Says that the daemon stops and asks the thread to end; returns at once."""
        self._stopping.set()
        self._notifier.stopping()

    def join(self, timeout: float) -> bool:
        """Whether the thread has ended within `timeout` seconds."""
        return self._thread.join(timeout)

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """While a new configuration is taken, whatever comes of it; before the start is over that says nothing new."""
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
                _log.info("frames move again: %s", verdict.reason)
            else:
                _log.error("%s; the watchdog is not fed until it goes on", verdict.reason)
        self._verdict = verdict
        text = self._status.text(now, snapshot, verdict)
        if text is not None:
            self._notifier.status(text)
        if not self._ready and snapshot.started:
            self._ready = True
            self._notifier.ready()


class _Status:
    """The line of `systemctl status`."""

    def __init__(self) -> None:
        self._told = ""
        self._next = 0.0
        self._rate = ""
        self._since = time.monotonic()
        self._processed = 0

    def text(self, now: float, snapshot: StatusSnapshot, verdict: Verdict) -> str | None:
        """What is to be told, None: nothing new."""
        if now >= self._next:
            rate = max(0, snapshot.processed - self._processed) / max(now - self._since, 1e-9)
            self._processed, self._since, self._next = snapshot.processed, now, now + _STATUS_EVERY
            self._rate = f"{rate:.1f} frames/s"
        parts = [f"{len(snapshot.streaming)} of {len(snapshot.config.cameras)} cameras streaming, {self._rate}"]
        for name, model in snapshot.info.models.items():
            if model.status.state is ModelState.BUILDING:
                parts.append(f"model {name} is being built, {model.status.progress} %")
            elif model.status.state is ModelState.FAILED:
                parts.append(f"model {name} has failed")
        if not snapshot.connected:
            parts.append("no broker")
        if not verdict.healthy:
            parts.append(verdict.reason)
        told, self._told = self._told, "; ".join(parts)
        return None if told == self._told else self._told

"""Builds engines while the daemon runs: one model at a time, each in a process of its own.

Building an engine takes minutes, all of the CPU that it gets and native code that may crash. In its own process it
takes nothing from the cameras, cannot end the daemon, and can be killed when the daemon stops.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import TypeAlias

from daemon.records import ModelState, ModelStatus
from daemon.system.log_states import state_of
from daemon.system.logs import log_to_stderr
from daemon.system.worker_thread import WorkerThread
from engines.build.specification import Progress
from engines.errors import BuildError, EngineError

_log = logging.getLogger("ospreyd")
_SPAWN = multiprocessing.get_context("spawn")  # a fork would take the locks of the other threads along
_TELL_EVERY = 0.5  # seconds between two messages about how far the same work is
_NICENESS = 10  # cameras and models that run go first
_END_WITHIN = 5.0  # seconds from the last message to the end of the process
_PATIENCE = 0.5  # seconds; who stops the service or the terminal kills the build too, and the daemon hears of it now

_Told: TypeAlias = "tuple[str, int] | EngineError | None"
"""what is being done and per cent of it, or why it failed, or None: done"""


@dataclass(frozen=True, slots=True, eq=False)
class BuildJob:
    """What has to be built before a model can be opened."""

    model: str
    work: Callable[[Progress], object]
    """builds it in a process of its own, so it must be picklable; raises EngineError"""


class EngineBuilder:
    """Does jobs in a thread named `build`, one after the other."""

    def __init__(
        self,
        report: Callable[[BuildJob, ModelStatus], None],
        ended: Callable[[BuildJob, EngineError | None], None],
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        """`report` gets the progress of each job, `ended` of each that has ended and why where it failed, both in the
        thread; `on_fatal` gets the exception that ends the thread.
        """
        self._report = report
        self._ended = ended
        self._changed = threading.Condition()
        """guards what follows, and the start of a process, so that none starts after stop() or cancel()"""
        self._waiting: deque[BuildJob] = deque()
        self._doing: BuildJob | None = None
        self._unwanted = False
        """the job that is being done has been cancelled"""
        self._process: SpawnProcess | None = None
        self._stopping = threading.Event()
        self._thread = WorkerThread("build", self._run, on_fatal)

    def start(self) -> None:
        """Begins with the first job; returns at once."""
        self._thread.start()

    def add(self, job: BuildJob) -> None:
        """One more job, before or after the start; returns at once."""
        with self._changed:
            self._waiting.append(job)
            self._changed.notify_all()

    def cancel(self, job: BuildJob) -> None:
        """Forgets a job, and kills its work; returns at once. What it has told just now may still arrive."""
        with self._changed:
            if job in self._waiting:
                self._waiting.remove(job)
            if self._doing is job:
                self._unwanted = True
                if self._process is not None:
                    self._process.kill()

    def stop(self) -> None:
        """Kills the work that is being done and asks the thread to end; returns at once."""
        with self._changed:
            self._stopping.set()
            self._changed.notify_all()
            if self._process is not None:
                self._process.kill()

    def join(self, timeout: float) -> bool:
        """Whether the thread, and with it every process, has ended within `timeout` seconds."""
        return self._thread.join(timeout)

    def _run(self) -> None:
        while (job := self._next()) is not None:
            self._do(job)

    def _next(self) -> BuildJob | None:
        """Waits for a job; None: it is time to stop."""
        with self._changed:
            self._doing, self._unwanted = None, False
            self._changed.wait_for(lambda: self._stopping.is_set() or self._waiting)
            if self._stopping.is_set():
                return None
            self._doing = self._waiting.popleft()
            return self._doing

    def _do(self, job: BuildJob) -> None:
        began = time.monotonic()
        _log.info("model %s: is being built, which may take minutes", job.model, extra=state_of("model", job.model))
        self._report(job, ModelStatus(ModelState.BUILDING, 0, "starting"))
        try:
            error = self._work(job)
        except OSError as failed:
            error = BuildError(f"no process can be started to build it: {failed.strerror}")
        if self._stopping.is_set() or self._unwanted:
            return
        if error is None:
            seconds = time.monotonic() - began
            _log.info("model %s: built in %.1f s", job.model, seconds, extra=state_of("model", job.model))
        self._ended(job, error)

    def _work(self, job: BuildJob) -> EngineError | None:
        """Does a job in a new process; why it failed."""
        receiver, sender = _SPAWN.Pipe(duplex=False)
        with receiver:
            process = _SPAWN.Process(target=_work_alone, args=(sender, job.work), name=job.model, daemon=True)
            with sender, self._changed:
                if self._stopping.is_set() or self._unwanted:
                    return None
                process.start()
                self._process = process
            try:
                while True:
                    told: _Told = receiver.recv()
                    if not isinstance(told, tuple):
                        return told
                    what, progress = told
                    self._report(job, ModelStatus(ModelState.BUILDING, progress, what))
            except (EOFError, OSError):  # it has ended, perhaps in the middle of a message
                process.join()
                self._stopping.wait(_PATIENCE)
                return _why_it_ended(process.exitcode or 0)
            finally:
                process.join(_END_WITHIN)
                process.kill()  # its work is done or lost, whatever its libraries still have to take apart
                process.join()
                with self._changed:
                    self._process = None


def _why_it_ended(code: int) -> BuildError:
    """Of a process that did not say that it had done its work."""
    if code == -signal.SIGKILL:
        return BuildError(
            "the process that built it was killed, probably out of memory; free some and send the command build-engine"
        )
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    return BuildError(f"the process that built it {how}; `ospreyd engine build` says more about what it does")


class _Teller:
    """Sends how far the work is: whole percents, and the same work's no more often than twice a second."""

    def __init__(self, sender: Connection) -> None:
        self._sender = sender
        self._lock = threading.Lock()  # progress comes from native threads
        self._last = ("", -1)
        self._next = 0.0

    def __call__(self, what: str, fraction: float) -> None:
        now, new = time.monotonic(), (what, max(0, min(100, int(fraction * 100))))
        with self._lock:
            if new != self._last and (what != self._last[0] or now >= self._next):
                self._last, self._next = new, now + _TELL_EVERY
                self.send(new)

    def send(self, told: _Told) -> None:
        """Ends the process where there is nobody left to tell."""
        try:
            self._sender.send(told)
        except BrokenPipeError:
            os._exit(1)


def _work_alone(sender: Connection, work: Callable[[Progress], object]) -> None:
    """The main function of the process that does a job."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the daemon, which then stops this
    os.nice(_NICENESS)
    log_to_stderr()
    teller = _Teller(sender)
    failed: EngineError | None = None
    try:
        work(teller)
    except EngineError as error:
        failed = error
    except Exception as error:
        _log.exception("building failed")
        failed = BuildError(f"building failed with an unexpected error, see the log: {type(error).__name__}: {error}")
    teller.send(failed)

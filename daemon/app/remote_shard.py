"""A shard in another process, as the daemon sees it: its process, its link, and what it has said."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from daemon.app.shard_link import Inbound, Outbound, close_all, link_pair
from daemon.app.shard_messages import Apply, Beat, Begin
from daemon.config.schema import Config
from daemon.inference.model_revision import ModelRevision
from daemon.records import Event, EventType, ModelInfo
from daemon.records.objects import LineState, ZoneState
from daemon.service.health import Health
from daemon.service.status import StatusSnapshot
from daemon.stats import DaemonCount
from daemon.system.backoff import Backoff

_MODULE = "daemon.app.shard_process"
_IDLE = 15.0  # seconds with pending work and without progress after which it hangs
_SILENT = 25.0  # seconds without a word after which it hangs
_BEGINS_WITHIN = 90.0  # seconds from the start of the process to its first word
_PROVEN = 60.0  # seconds of running after which the next restart is quick again
_UNTOLD = 256  # messages that wait until it runs
_ABORTS = 10  # attempts to end a process that hangs, a second each, before it is left to itself
_ENDS_WITHIN = 0.2  # seconds from the end of its link to that of its process


class RemoteShard:
    """For the thread `shards`, but for `send`, which any thread may call, and `apply`, which needs the lock."""

    def __init__(self, number: int, gpu: int | None, config: Config) -> None:
        """`gpu`: the number of the one that it sees alone; None: all that are there. `config` of its cameras."""
        self.number = number
        self._gpu = gpu
        self.config = config
        self.infos: Mapping[str, ModelInfo] = {}
        self.failed: frozenset[str] = frozenset()
        """models whose latest revision has failed"""
        self.queues: Mapping[str, int] = {}
        self.held = 0
        """results that are not live, of which it has not been told that there is room for others"""
        self.present: set[tuple[str, str]] = set()
        """cameras and classes that have appeared and are not gone"""
        self.areas: set[tuple[type[ZoneState | LineState], str, str]] = set()
        """zones and lines that it has told of, by camera and name"""
        self.start_at: float | None = 0.0
        """when it is to be started, time.monotonic(); None: it runs"""
        self.begun = False
        """it has said something since it was started"""
        self.connection: socket.socket | None = None
        self.inbound: Inbound | None = None
        self.outbound: Outbound | None = None
        self._telling = threading.Lock()
        """guards what follows, and `outbound` while it begins: no message comes before the first one"""
        self._untold: deque[object] = deque(maxlen=_UNTOLD)
        self._process: subprocess.Popen[bytes] | None = None
        self._backoff = Backoff()
        self._started_at = self._heard_at = 0.0
        self._analysed = 0
        self._busy_for = 0.0
        self._health = Health(_IDLE)
        self.aborts = 0
        """attempts to end its process, because it hangs"""

    def start(self, begin: Begin) -> None:
        """Starts its process. Raises OSError where the system does not."""
        self._started_at = self._heard_at = time.monotonic()
        ours, theirs = link_pair()
        with theirs:
            number = theirs.fileno()
            command = [sys.executable, "-m", _MODULE, str(number)]
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONSAFEPATH": "1"}
            if self._gpu is not None:
                environment["CUDA_VISIBLE_DEVICES"] = _visible(self._gpu)
            # in a session of its own: Ctrl-C at a terminal is for the daemon, which then stops it
            self._process = subprocess.Popen(
                command, pass_fds=[number], env=environment, stdin=subprocess.DEVNULL, start_new_session=True
            )
        ours.setblocking(False)
        self.connection, self.inbound = ours, Inbound(ours)
        self.start_at, self.begun, self.aborts = None, False, 0
        self._busy_for = 0.0
        self._health = Health(_IDLE)
        with self._telling:
            self.outbound = Outbound(ours)
            for message in (begin, *self._untold):
                self.outbound.put(message)
            self._untold.clear()

    def send(self, message: object, descriptors: Sequence[int] = ()) -> None:
        """Tells it something, or once it runs; where that needs descriptors, which are closed then, only if it runs."""
        with self._telling:
            if self.outbound is not None:
                self.outbound.put(message, descriptors)
            elif descriptors:
                close_all(descriptors)
            else:
                self._untold.append(message)

    def apply(self, config: Config, revisions: Mapping[str, ModelRevision]) -> None:
        """It runs with this configuration from now on, or from its next start."""
        self.config = config
        with self._telling:
            if self.outbound is not None:
                self.outbound.put(Apply(config, revisions))

    def heard(self, beat: Beat) -> None:
        """Takes what it says twice a second."""
        self.queues, self._busy_for = beat.queues, beat.busy_for
        self._analysed += beat.counted.counts.get(DaemonCount.RESULTS_ANALYSED, 0)

    def heard_something(self) -> None:
        """It has said something."""
        self._heard_at = time.monotonic()

    def note(self, event: Event) -> None:
        """Takes an event of it, so that what it leaves open can be ended."""
        if event.label is not None and event.type is EventType.APPEARED:
            self.present.add((event.camera, event.label))
        elif event.label is not None and event.type is EventType.GONE:
            self.present.discard((event.camera, event.label))

    def problem(self, now: float, snapshot: StatusSnapshot) -> str | None:
        """Why it hangs, one sentence; None where it does not. `snapshot` of the daemon."""
        silent, patience = now - self._heard_at, _SILENT if self.begun else _BEGINS_WITHIN
        if silent > patience:
            return f"it has said nothing for {silent:.0f} s"
        config = self.config  # read once: the main thread may replace it
        cameras = config.cameras
        own = replace(
            snapshot,
            config=config,
            info=replace(snapshot.info, models=self.infos),
            totals=replace(
                snapshot.totals, cameras={n: of for n, of in snapshot.totals.cameras.items() if n in cameras}
            ),
            cameras={name: status for name, status in snapshot.cameras.items() if name in cameras},
            # what is full of the results of another one holds up no frame of it
            held=snapshot.held and self.held > 0,
            busy_for=self._busy_for,
        ).health_counters()
        # what the daemon does with its results is not its work
        verdict = self._health.judge(now, replace(own, analysed=self._analysed, handed_on={}, formatted=None))
        return None if verdict.healthy else verdict.reason

    def abort(self) -> bool:
        """Ends its process with the stacks of its threads in the log; the second time without. False: it cannot end."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL if self.aborts else signal.SIGABRT)
        self.aborts += 1
        return self.aborts <= _ABORTS

    def end(self) -> tuple[str, float]:
        """Its link is gone: ends its process. How that ended, and in how many seconds it should be started again."""
        if self.connection is not None:
            self.connection.close()
        with self._telling:
            if self.outbound is not None:
                self.outbound.close()
            self.connection = self.inbound = self.outbound = None
        self.queues, self.held = {}, 0
        how = "could not be started" if self._process is None else _how_it_ended(self._process)
        self._process = None
        if time.monotonic() - self._started_at > _PROVEN:
            self._backoff.reset()
        delay = self._backoff.next()
        self.start_at = time.monotonic() + delay
        return how, delay

    def kill(self) -> None:
        """Ends its process at once."""
        if self._process is not None:
            self._process.kill()


def _how_it_ended(process: subprocess.Popen[bytes]) -> str:
    with suppress(subprocess.TimeoutExpired):
        process.wait(_ENDS_WITHIN)
    process.kill()
    with suppress(subprocess.TimeoutExpired):  # in a driver that does not let go of it
        process.wait(_ENDS_WITHIN)
    code = process.returncode
    if code is None:
        return "does not end"
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _visible(gpu: int) -> str:
    """What CUDA_VISIBLE_DEVICES is for a process that is to see one GPU of those that this one sees."""
    ours = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return ours.split(",")[gpu].strip() if ours else str(gpu)

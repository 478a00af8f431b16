"""Shards in processes of their own: starts them, hears what they have, and restarts each that ends, alone."""

from __future__ import annotations

import logging
import os
import selectors
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial

from daemon.app.placement import part, place
from daemon.app.reload import Plan
from daemon.app.remote_models import RemoteModels
from daemon.app.remote_shard import RemoteShard
from daemon.app.shard import Reports, Shared
from daemon.app.shard_link import LinkLostError, close_all
from daemon.app.shard_messages import (
    Begin,
    ResetLines,
    Retry,
    Stop,
    TakePicture,
)
from daemon.app.shard_receiver import Destinations, ShardReceiver
from daemon.config.schema import Config
from daemon.inference.model_revision import ModelRevision
from daemon.records import ModelInfo
from daemon.service.status import StatusSnapshot
from daemon.stats import DaemonCount
from daemon.system.log_states import state_of
from daemon.system.thread_scheduling import request_short_slice
from daemon.system.worker_thread import WorkerThread
from engines.backends import Backend

_log = logging.getLogger("ospreyd")
_LOOK = 1.0  # seconds between two looks whether all of them move
_END_WITHIN = 2.0  # seconds for each of them


class ShardProcesses:
    """Has the methods of Shard, and owns the thread `shards`. Apart from `start` and `stop` they need the lock."""

    def __init__(
        self,
        config: Config,
        backend: Backend,
        gpus: Sequence[int],
        shared: Shared,
        outputs: Destinations,
        reports: Reports,
        status: Callable[[], StatusSnapshot],
    ) -> None:
        """`gpus`: that of each shard. `status` of the daemon now, for any thread. Nothing runs before `start`."""
        self._config = config
        self._backend = backend
        self._gpus = gpus
        self._shared = shared
        self._totals = outputs.totals
        self._receiver = ShardReceiver(shared, outputs, reports)
        self._status = status
        self._models_changed = reports.models_changed
        self._placed = place(config, gpus, {})
        several = len(set(gpus)) > 1
        self._shards = [
            RemoteShard(number, gpu if several else None, part(config, self._placed, number))
            for number, gpu in enumerate(gpus)
        ]
        self._models = RemoteModels(backend, self._shards)
        self._stopping = threading.Event()
        self._all_ended = threading.Event()
        self._selector = selectors.DefaultSelector()
        self._woken, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._thread = WorkerThread("shards", self._run, shared.on_fatal)
        shared.credits.on_room(self._rouse)

    @property
    def models(self) -> Mapping[str, ModelInfo]:
        """See Shard."""
        return self._models.infos

    @property
    def queues(self) -> Mapping[str, Callable[[], int]]:
        """See Shard; of all of them together."""
        return {name: partial(self._waiting, name) for name in ("batch", "analysis")}

    def busy_for(self) -> float:
        """See Shard; 0, because each of them is judged alone."""
        return 0.0

    def latest(self, model: str) -> ModelRevision | None:
        """See Shard."""
        return self._models.latest(model)

    def configured(self, model: str) -> ModelRevision | None:
        """See Shard."""
        return self._models.configured(model)

    def load(self, revision: ModelRevision) -> None:
        """See Shard; before the start only."""
        self._models.put(revision)
        self._models_changed()

    def take_picture(self, camera: str, annotated: bool) -> None:
        """Has a snapshot taken of a camera's next frame; returns at once, in any thread."""
        self.send(camera, TakePicture(camera, annotated, time.monotonic()))

    def reset_lines(self, camera: str | None) -> None:
        """See Shard."""
        self.send(camera, ResetLines(camera))

    def send(self, camera: str | None, message: object, descriptors: Sequence[int] = ()) -> None:
        """To the shard of a camera, or all (None); in any thread."""
        number = None if camera is None else self._placed.get(camera, -1)
        for shard in self._shards:
            if number in (None, shard.number):
                shard.send(message, descriptors)
        if number == -1:
            close_all(descriptors)
        self._rouse()

    def retry(self, model: str) -> bool:
        """See Shard."""
        if not self._models.can_retry(model):
            return False
        self.send(None, Retry(model))
        return True

    def start(self) -> None:
        """Starts the thread, which starts the processes."""
        self._selector.register(self._woken, selectors.EVENT_READ, None)
        self._thread.start()

    def stop(self) -> None:
        """Asks all of them to end; returns at once."""
        self._stopping.set()
        for shard in self._shards:
            if shard.begun:
                shard.send(Stop(_END_WITHIN))
            else:  # it has captured nothing yet
                shard.kill()
        self._rouse()

    def join_analysis(self, timeout: float) -> bool:
        """Whether all of them have told all that they had, and ended, within `timeout` seconds."""
        return self._all_ended.wait(timeout)

    def join(self, timeout: float) -> bool:
        """Ends what is left of them; whether the thread has ended within `timeout` seconds."""
        for shard in self._shards:
            shard.kill()
        return self._thread.join(timeout)

    def apply(self, plan: Plan, announce: Callable[[], None]) -> None:
        """See Shard; begins it, and does not wait for the processes. One that fails starts again, with the plan."""
        self._config = plan.config
        for name in plan.difference.removed:
            self._shared.stats.forget(name)
        self._placed |= place(plan.config, self._gpus, self._placed)
        self._models.take(plan)
        announce()
        for shard in self._shards:
            config = part(plan.config, self._placed, shard.number)
            shard.apply(config, self._models.to_load(shard, config, plan))
        self._rouse()

    def _waiting(self, queue: str) -> int:
        return sum(shard.queues.get(queue, 0) for shard in self._shards)

    def _rouse(self) -> None:
        with suppress(BlockingIOError):  # full: it is being woken already
            os.write(self._wake, b"\0")

    def _run(self) -> None:
        request_short_slice()
        try:
            look = time.monotonic()
            while not self._has_ended():
                if not self._stopping.is_set():
                    self._start_due()
                for key, ready in self._selector.select(max(0.0, self._due(look) - time.monotonic())):
                    self._serve(key.data, ready)
                if [shard for shard in self._shards if self._receiver.tell_room(shard)]:
                    self._listen()
                if time.monotonic() >= look:
                    look = time.monotonic() + _LOOK
                    self._look()
        finally:
            self._all_ended.set()
            self._selector.close()  # the pipe stays open: whoever writes to it late must not find another file there

    def _has_ended(self) -> bool:
        return self._stopping.is_set() and all(shard.connection is None for shard in self._shards)

    def _due(self, look: float) -> float:
        starts = [shard.start_at for shard in self._shards if shard.start_at is not None]
        return min([look, *starts]) if not self._stopping.is_set() else look

    def _start_due(self) -> None:
        now = time.monotonic()
        for shard in self._shards:
            if shard.start_at is None or shard.start_at > now:
                continue
            try:
                with self._shared.lock:
                    config = shard.config
                    self._receiver.forget_areas(shard)
                    revisions = self._models.of(config)
                    totals = {name: of for name, of in self._totals().items() if name in config.cameras}
                    shard.start(Begin(config, self._backend, revisions, totals, shard.number))
            except OSError as error:
                _log.error("shard %d: its process cannot be started: %s", shard.number, error.strerror)
                self._lost(shard)
                continue
            if shard.connection is not None:
                self._selector.register(shard.connection, selectors.EVENT_READ, shard)
                self._listen()
            if self._stopping.is_set():  # since the lock was taken
                shard.kill()

    def _serve(self, shard: RemoteShard | None, ready: int) -> None:
        if shard is None:
            with suppress(BlockingIOError):
                os.read(self._woken, 4096)
            self._listen()
            return
        if shard.inbound is None or shard.outbound is None:
            return
        if ready & selectors.EVENT_WRITE:
            shard.outbound.flush()
            self._listen()
        try:
            for message in shard.inbound.receive() if ready & selectors.EVENT_READ else ():
                shard.heard_something()
                self._receiver.take(shard, message)
        except LinkLostError:
            self._lost(shard)

    def _listen(self) -> None:
        """Notes which of them take more of what waits for them."""
        for shard in self._shards:
            if shard.connection is not None and shard.outbound is not None:
                wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if shard.outbound.is_waiting else 0)
                if self._selector.get_key(shard.connection).events != wanted:
                    self._selector.modify(shard.connection, wanted, shard)

    def _look(self) -> None:
        """Ends those that hang."""
        running = [shard for shard in self._shards if shard.connection is not None]
        now, status = time.monotonic(), self._status()
        for shard in running:
            if self._stopping.is_set() or (why := shard.problem(now, status)) is None:
                continue
            if not shard.aborts:
                _log.error("shard %d: %s; its process is ended", shard.number, why)
            if not shard.abort():  # in a driver that does not let go of it, and so keeps its link open
                self._lost(shard)

    def _lost(self, shard: RemoteShard) -> None:
        """Its process has ended, or ends now: its cameras say so until it runs again."""
        if shard.connection is not None:
            self._selector.unregister(shard.connection)
        how, delay = shard.end()
        if self._stopping.is_set():
            return
        text = "shard %d: its process %s; its cameras are offline until it runs again, in %.1f s or more"
        _log.error(text, shard.number, how, delay, extra=state_of("shard", str(shard.number)))
        self._shared.stats.count_daemon(DaemonCount.SHARD_FAILURES)
        with self._shared.lock:  # also those that it was just told to remove
            had = {name for name, number in self._placed.items() if number == shard.number}
        self._receiver.end(shard, had, f"the process of its shard {how}, and is being started again")

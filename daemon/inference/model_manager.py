"""Loads and exchanges models: builds and opens them while others run, and swaps them between two batches."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from daemon.config.model import Model as ModelConfig
from daemon.inference.attempt import Attempt, told
from daemon.inference.engine_builder import BuildJob, EngineBuilder
from daemon.inference.frame_queue import FrameQueue
from daemon.inference.model_config import check_labels, prepare_model, rebuild_model
from daemon.inference.model_revision import ModelRevision, detail_of_successor
from daemon.inference.session_loader import SessionLoader, close_session
from daemon.inference.worker import InferenceWorker, OpenModel
from daemon.records import ModelInfo, ModelState, ModelStatus
from daemon.records.info import LOADING, WAITING
from daemon.system.log_states import state_of
from engines.backends import Backend, SessionSettings, find_prepared, needs_building, open_session, precision_of
from engines.build.specification import Progress
from engines.errors import EngineError, GpuMemoryError, ModelError, NotPreparedError
from engines.records import DetectorSession

_log = logging.getLogger("ospreyd")
_BUILDS = 2  # of the same revision; a plan that is refused or gone after the second would be so again


@dataclass(frozen=True, slots=True)
class ModelReports:
    """Where changes of models are reported, in some thread."""

    lock: threading.RLock
    """held meanwhile, and whenever a model changes, so that reports come in their order"""
    changed: Callable[[], None]
    """`ModelManager.infos` has changed"""
    unavailable: Callable[[str, str], None]
    """a model cannot be used, and the reason"""


class ModelManager:
    """Owns the threads `build` and `load`, which opens and closes sessions."""

    def __init__(
        self,
        backend: Backend,
        inference: InferenceWorker,
        frame_queue: FrameQueue,
        floor: Callable[[ModelRevision], float],
        reports: ModelReports,
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        """`floor` of a model's candidates, 0 to 1, is asked in the inference worker."""
        self._backend = backend
        self._inference = inference
        self._frame_queue = frame_queue
        self._floor = floor
        self._reports = reports
        self._lock = reports.lock
        """guards what follows"""
        self._running: dict[str, ModelRevision] = {}
        self._next: dict[str, Attempt] = {}
        """the attempt in progress for each name"""
        self._failed: dict[str, ModelRevision] = {}
        """the revision that failed last, for each name"""
        self._infos: dict[str, ModelInfo] = {}
        self._builder = EngineBuilder(self._report, self._built, on_fatal)
        self._loader = SessionLoader(on_fatal)

    @property
    def infos(self) -> Mapping[str, ModelInfo]:
        """Of every model, what is to be published of it."""
        return dict(self._infos)

    @property
    def failed(self) -> frozenset[str]:
        """Models whose latest revision has failed, though the one before may run."""
        return frozenset(self._failed)

    def latest(self, name: str) -> ModelRevision | None:
        """The model as it is being built, or else as it runs; None: neither."""
        with self._lock:
            return self._next[name].revision if name in self._next else self._running.get(name)

    def configured(self, name: str) -> ModelRevision | None:
        """The model as its configuration asks for it, also where that has failed."""
        return self._failed.get(name) or self.latest(name)

    def start(self) -> None:
        """Begins to build and to open; returns at once."""
        self._builder.start()
        self._loader.start()

    def stop(self) -> None:
        """Ends building and opening; returns at once."""
        with self._lock:
            self._next.clear()
        self._builder.stop()
        self._loader.stop()

    def join(self, timeout: float) -> bool:
        """Whether both threads, and with them every process, have ended within `timeout` seconds."""
        until = time.monotonic() + timeout
        built = self._builder.join(timeout)
        return self._loader.join(max(0.0, until - time.monotonic())) and built

    def load(self, revision: ModelRevision, rebuild: bool = False) -> None:
        """Runs this revision of a model once it is built and open; until then the one before goes on."""
        name = revision.name
        with self._lock:
            self._cancel(name)
            self._failed.pop(name, None)
            attempt = self._next[name] = Attempt(revision)
            self._frame_queue.expect(name)
            self._show(revision, WAITING)
            if rebuild:
                self._build(attempt, rebuild_model)
            else:
                self._loader.put(partial(self._load, attempt))

    def retry(self, name: str) -> bool:
        """Rebuilds the latest revision of a model, also one that failed; False: there is nothing to build."""
        with self._lock:
            revision = self.configured(name)
            if revision is None:
                return False
            builds = needs_building(self._backend, revision.settings)
            if name not in self._failed and not builds:
                return False
            self.load(revision, rebuild=builds)
            return True

    def drop(self, name: str) -> None:
        """No camera needs the model any more."""
        with self._lock:
            self._cancel(name)
            for known in (self._running, self._failed, self._infos):
                known.pop(name, None)
            self._frame_queue.refuse(name)
            self._inference.drop(name)

    def refresh(self) -> None:
        """The floors of the models may have changed."""
        for name in self._running:
            self._inference.refresh(name)

    def _cancel(self, name: str) -> None:
        attempt = self._next.pop(name, None)
        if attempt is not None and attempt.job is not None:
            self._builder.cancel(attempt.job)

    def _is_wanted(self, attempt: Attempt) -> bool:
        return self._next.get(attempt.revision.name) is attempt

    def _load(self, attempt: Attempt) -> None:
        """In the thread `load`: opens the prepared model, or starts a build job."""
        revision = attempt.revision
        if not self._is_wanted(attempt):
            return
        try:
            prepared = find_prepared(self._backend, revision.model, revision.settings)
            if prepared is None:
                why = "what was built for it is gone again; check the folder of engines"
                raise NotPreparedError(why)  # noqa: TRY301  it fails as the rest does
            self._tell(attempt, LOADING)
            session = open_session(prepared, self._frame_queue.frame_sizes(revision.name))
        except Exception as error:
            self._failing(attempt, told(revision.name, error))
            return
        with self._lock:
            if self._is_wanted(attempt):
                self._use(revision, session)
                return
        close_session(revision.name, session)

    def _use(self, revision: ModelRevision, session: DetectorSession) -> None:
        """With the lock."""
        name = revision.name
        del self._next[name]
        self._running[name] = revision
        floor = partial(self._floor, revision)
        failed = partial(self._failed_running, revision)
        self._inference.use(OpenModel(name, revision.model.labels, session, floor, partial(self._retire, name), failed))
        precision = precision_of(self._backend, revision.settings).value
        _log.info("model %s: ready, %s on %s", name, precision, self._backend.name, extra=state_of("model", name))
        self._show(revision, ModelStatus(ModelState.READY))

    def _retire(self, name: str, session: DetectorSession) -> None:
        """In the inference worker."""
        close = partial(close_session, name, session)
        if not self._loader.put(close):
            close()

    def _failing(self, attempt: Attempt, error: Exception) -> None:
        """Tries again where that may help: after a build, after reading the file again, or with half the batch."""
        revision = attempt.revision
        settings = revision.settings
        with self._lock:
            if not self._is_wanted(attempt):
                return
            if isinstance(error, GpuMemoryError) and settings.max_batch > 1:
                settings = replace(settings, max_batch=settings.max_batch // 2)
                text, values = "model %s: %s; trying batches of %d", (revision.name, error, settings.max_batch)
                _log.warning(text, *values, extra=state_of("model", revision.name))
                self.load(replace(revision, settings=settings))
            elif isinstance(error, NotPreparedError) and attempt.builds and not revision.has_same_files():
                self._loader.put(partial(self._read_again, attempt))
            elif isinstance(error, NotPreparedError) and attempt.builds < _BUILDS:
                self._build(attempt, prepare_model)
            else:
                self._give_up(revision, error)

    def _read_again(self, attempt: Attempt) -> None:
        """In the thread `load`: the model's file was replaced after it had been read."""
        before = attempt.revision
        try:
            revision = ModelRevision.read(before.name, before.config)
            check_labels(before.config, {before.name: revision.model.labels})
        except Exception as error:
            with self._lock:
                if self._is_wanted(attempt):
                    self._give_up(before, told(before.name, error))
            return
        with self._lock:
            if self._is_wanted(attempt):
                self.load(revision)

    def _build(self, attempt: Attempt, work: Callable[[Backend, ModelConfig, SessionSettings, Progress], None]) -> None:
        """With the lock."""
        revision = attempt.revision
        config = revision.config.models[revision.name]
        attempt.builds += 1
        attempt.job = BuildJob(revision.name, partial(work, self._backend, config, revision.settings))
        self._builder.add(attempt.job)

    def _report(self, job: BuildJob, status: ModelStatus) -> None:
        """In the thread `build`."""
        if (attempt := self._of(job)) is not None:
            self._tell(attempt, status)

    def _built(self, job: BuildJob, error: EngineError | None) -> None:
        """In the thread `build`."""
        if (attempt := self._of(job)) is None:
            return
        if error is None:
            self._loader.put(partial(self._load, attempt))
        else:
            self._failing(attempt, error)

    def _of(self, job: BuildJob) -> Attempt | None:
        """The attempt that the job belongs to; None if it was cancelled."""
        attempt = self._next.get(job.model)
        return attempt if attempt is not None and attempt.job is job else None

    def _tell(self, attempt: Attempt, status: ModelStatus) -> None:
        with self._lock:
            if self._is_wanted(attempt):
                self._show(attempt.revision, status)

    def _failed_running(self, revision: ModelRevision, error: ModelError) -> None:
        """In the inference worker: the outputs of a model that runs are not what its family gives."""
        with self._lock:
            if self._running.get(revision.name) is not revision:
                return  # replaced, dropped, or failed on the batch before
            del self._running[revision.name]
            self._inference.drop(revision.name)
            self._mark_failed(revision, error)

    def _give_up(self, revision: ModelRevision, error: Exception) -> None:
        """With the lock: what was to be the next revision has failed."""
        del self._next[revision.name]
        self._mark_failed(revision, error)

    def _mark_failed(self, revision: ModelRevision, error: Exception) -> None:
        """With the lock."""
        name, why = revision.name, str(error)
        _log.error("model %s: %s", name, why, extra=state_of("model", name))
        if (successor := self._next.get(name)) is not None:
            self._show(successor.revision, WAITING)
            return
        self._failed[name] = revision
        if name not in self._running:
            self._frame_queue.refuse(name)
            self._reports.unavailable(name, why)
        self._show(revision, ModelStatus(ModelState.FAILED, detail=why))

    def _show(self, revision: ModelRevision, status: ModelStatus) -> None:
        running = self._running.get(revision.name)
        if running is not None and running is not revision:
            status = ModelStatus(ModelState.READY, detail=detail_of_successor(status))
            revision = running
        self._infos[revision.name] = revision.info(self._backend, status)
        self._reports.changed()

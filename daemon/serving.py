"""The models in service: built beside what runs, opened when they are ready, exchanged without a gap."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from daemon.config.model import BUILTIN_LABELS, BUILTIN_MODEL
from daemon.config.reload import difference
from daemon.config.schema import Config
from daemon.handoff import Handoff
from daemon.infer import InferenceThread, OpenModel
from daemon.models import configured_model, lane_settings, prepare_model, rebuild_model
from daemon.preparing import Job, Preparing
from daemon.records import ModelInfo, ModelState, ModelStatus
from engines.backends import CPU, Backend, LaneSettings, is_prepared, needs_building, open_lane, precision_of
from engines.errors import EngineError
from engines.model import Model
from engines.records import Lane

_log = logging.getLogger("ospreyd")


@dataclass(frozen=True, slots=True, eq=False)
class Generation:
    """A model as one configuration, and the files that it names, had it."""

    name: str
    config: Config
    model: Model
    settings: LaneSettings
    stamps: tuple[tuple[int, int] | None, ...]
    """of its files, so that another file of the same name is noticed"""

    @classmethod
    def read(cls, name: str, config: Config) -> Generation:
        """Raises EngineError."""
        settings = config.models[name]
        stamps = file_stamps(name, config)  # before it is read: a file that changes meanwhile is read once more
        model = configured_model(settings)
        _log.info("model %s: %s, family %s, %d classes", name, model.path.name, model.family.name, len(model.labels))
        if settings.file == BUILTIN_MODEL:
            _log.warning("model %s: the demonstration model knows drawn streets only; set models.%s.file", name, name)
        return cls(name, config, model, lane_settings(settings, config.inference), stamps)

    def is_of(self, config: Config) -> bool:
        """Whether `read` would give the same now; what failed to take its place is not the same."""
        return self.name not in difference(self.config, config).models and self.stamps == file_stamps(self.name, config)


def file_stamps(name: str, config: Config) -> tuple[tuple[int, int] | None, ...]:
    """When the files of a model were changed, and their sizes; None of one that is not there."""
    settings = config.models[name]
    named = [settings.file] if settings.file != BUILTIN_MODEL else []
    named += [settings.labels] if settings.labels not in (None, BUILTIN_LABELS) else []
    return tuple(_stamp(Path(path)) for path in named)


class Serving:
    """Owns the thread `prepare`; the lanes are the inference thread's."""

    def __init__(
        self,
        backend: Backend,
        inference: InferenceThread,
        handoff: Handoff,
        floor: Callable[[Generation], float],
        told: Callable[[], None],
        lost: Callable[[str, str], None],
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        """`floor` of a model's candidates, 0 to 1, is asked in the inference thread.

        `told` that `infos` has changed, and `lost`, of a model that is not to be had and why, are called in some
        thread with `lock` held.
        """
        self._backend = backend
        self._inference = inference
        self._handoff = handoff
        self._floor = floor
        self._told = told
        self._lost = lost
        self.lock = threading.RLock()
        """guards what follows, and the order in which it is told"""
        self._running: dict[str, Generation] = {}
        self._next: dict[str, tuple[Generation, Job]] = {}
        """what is being built, to be or to become the model of that name"""
        self._infos: dict[str, ModelInfo] = {}
        self._uses: dict[str, object] = {}
        """one for as long as some camera needs the model: what was begun before that is over"""
        self._preparing = Preparing(self._report, self._prepared, on_fatal)

    @property
    def infos(self) -> Mapping[str, ModelInfo]:
        """Of every model, what is to be published of it."""
        return dict(self._infos)

    def latest(self, name: str) -> Generation | None:
        """The model as it is being built, or else as it runs; None: neither."""
        with self.lock:
            return self._next[name][0] if name in self._next else self._running.get(name)

    def start(self) -> None:
        """Begins to build; returns at once."""
        self._preparing.start()

    def stop(self) -> None:
        """Ends building; returns at once."""
        self._preparing.stop()

    def join(self, timeout: float) -> bool:
        """Whether the thread, and with it every process, has ended within `timeout` seconds."""
        return self._preparing.join(timeout)

    def serve(self, generation: Generation, rebuild: bool = False) -> None:
        """Makes this the model of its name, as soon as it is built; until then what there was goes on."""
        name, backend, settings = generation.name, self._backend, generation.settings
        work = partial(rebuild_model if rebuild else prepare_model, backend, generation.config.models[name], settings)
        is_done = bool if rebuild else partial(is_prepared, backend, generation.model, settings)
        with self.lock:
            self._cancel(name)
            job = Job(model=name, is_done=is_done, work=work)
            self._next[name] = generation, job
            self._uses.setdefault(name, object())
            self._handoff.expect(name)
            self._show(generation, ModelStatus(ModelState.BUILDING, 0, "waiting"))
            self._preparing.add(job)

    def rebuild(self, name: str) -> bool:
        """Builds the latest model of that name anew; False where its backend needs nothing built."""
        with self.lock:
            latest = self.latest(name)
            if latest is None or not needs_building(self._backend, latest.settings):
                return False
            self.serve(latest, rebuild=True)
            return True

    def drop(self, name: str) -> None:
        """No camera needs the model any more."""
        with self.lock:
            self._cancel(name)
            self._running.pop(name, None)
            self._infos.pop(name, None)
            self._uses.pop(name, None)
            self._handoff.refuse(name)
            self._inference.close(name)

    def refresh(self) -> None:
        """The floors of the models may have changed."""
        for name in self._running:
            self._inference.refresh(name)

    def _cancel(self, name: str) -> None:
        if name in self._next:
            self._preparing.cancel(self._next.pop(name)[1])

    def _report(self, job: Job, status: ModelStatus) -> None:
        """In the thread `prepare`, or `gpu`."""
        with self.lock:
            if (generation := self._of(job)) is None:
                return
            if status.state is ModelState.FAILED:
                _log.error("model %s: %s", job.model, status.detail)
                del self._next[job.model]
                if job.model not in self._running:
                    self._handoff.refuse(job.model)
                    self._lost(job.model, status.detail)
            self._show(generation, status)

    def _prepared(self, job: Job) -> None:
        """In the thread `prepare`."""
        self._report(job, ModelStatus(ModelState.BUILDING, 100, "loading"))
        with self.lock:
            if (generation := self._of(job)) is None:
                return
        open_it = partial(open_lane, self._backend, generation.model, generation.settings)
        if self._backend.name == CPU:  # which needs no particular thread, and should not hold up the other models
            try:
                lane = open_it()
            except EngineError as error:
                self._report(job, ModelStatus(ModelState.FAILED, detail=str(error)))
                return
            open_it = partial(_same, lane)
        with self.lock:
            if self._of(job) is None:
                if self._backend.name == CPU:
                    open_it().close()
                return
            self._inference.open(
                OpenModel(
                    name=job.model,
                    labels=generation.model.labels,
                    open_lane=open_it,
                    floor=partial(self._floor, generation),
                    opened=partial(self._opened, generation, job, self._uses[job.model]),
                )
            )

    def _opened(self, generation: Generation, job: Job, use: object, outcome: Lane | EngineError) -> None:
        """In the inference thread."""
        if isinstance(outcome, EngineError):
            self._report(job, ModelStatus(ModelState.FAILED, detail=str(outcome)))
            return
        name = generation.name
        with self.lock:
            if self._uses.get(name) is not use:
                return  # dropped meanwhile, and about to be closed, even where it is wanted again
            self._running[name] = generation
            self._handoff.ready(name, outcome.max_batch)
            precision = precision_of(self._backend, generation.settings).value
            _log.info("model %s: ready, %s on %s", name, precision, self._backend.name)
            if self._of(job) is not None:
                del self._next[name]
            self._show(generation, ModelStatus(ModelState.READY))

    def _of(self, job: Job) -> Generation | None:
        """What the job is done for, unless that is no longer wanted."""
        generation, current = self._next.get(job.model, (None, None))
        return generation if current is job else None

    def _show(self, generation: Generation, status: ModelStatus) -> None:
        running = self._running.get(generation.name)
        if running is not None and running is not generation:
            status = ModelStatus(ModelState.READY, detail=_of_successor(status))
            generation = running
        self._infos[generation.name] = self._info(generation, status)
        self._told()

    def _info(self, generation: Generation, status: ModelStatus) -> ModelInfo:
        model = generation.model
        return ModelInfo(
            file=model.path.name,
            family=model.family.name,
            width=model.width,
            height=model.height,
            labels=model.labels,
            precision=precision_of(self._backend, generation.settings).value,
            status=status,
        )


def _of_successor(status: ModelStatus) -> str:
    """What is said of a model that runs, while another is to take its place."""
    if status.state is ModelState.FAILED:
        return f"runs as before; what it was to be replaced by failed: {status.detail}"
    return f"runs until it is replaced: {status.detail}, {status.progress} %"


def _same(lane: Lane) -> Lane:
    return lane


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size

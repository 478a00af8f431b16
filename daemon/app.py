"""The composition root: builds stages, threads and hand-offs; start, and the one way to stop."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from queue import Empty, SimpleQueue
from types import FrameType

from daemon import __version__
from daemon.batch import Batcher
from daemon.capture.camera import CameraThread
from daemon.capture.watch import Watch
from daemon.config.model import BUILTIN_MODEL
from daemon.config.schema import Camera, Config
from daemon.errors import EXIT_FAILURE, EXIT_OK, UsageError
from daemon.events.stage import EventStage
from daemon.handoff import Handoff
from daemon.infer import InferenceThread, OpenModel, Wanted
from daemon.models import configured_model, lane_settings, prepare_model
from daemon.preparing import Job, Preparing
from daemon.publish.publisher import Publisher
from daemon.records import (
    CameraState,
    CameraStatus,
    DaemonInfo,
    FrameResult,
    ModelInfo,
    ModelState,
    ModelStatus,
    Reason,
)
from daemon.stats import Stats
from engines.backends import CPU, Backend, LaneSettings, choose, frame_allocator, is_prepared, open_lane, precision_of
from engines.errors import EngineError
from engines.model import Model
from engines.records import Lane

_log = logging.getLogger("ospreyd")
_SLEEP = 0.25  # seconds
_STOP_WITHIN = 4.5  # seconds for all stages together; systemd and users are promised 5


class App:
    """One daemon."""

    def __init__(self, config: Config) -> None:
        self._config = config
        # not an Event: a signal that comes while the main thread is about to wait for one would wait for itself
        self._stopping: SimpleQueue[str | None] = SimpleQueue()
        """the signal that asks to stop, or None: something failed"""
        self._failure: BaseException | None = None

    def run(self) -> int:
        """Runs until SIGTERM, SIGINT or a failure; the exit code. Only for the main thread.

        Raises EngineError where the backend does not work or a model cannot be read, and UsageError for what only the
        models show to be wrong in the configuration; nothing has been started by then.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        config = self._config
        backend = choose(config.inference.backend)
        _log.info("backend %s %s: %s", backend.name, backend.version, backend.reason)
        models = {name: _read(name, config) for name in sorted({c.model for c in config.cameras.values()})}
        stages = _Stages(config, backend, models, self._fail)
        try:
            stages.start()
            _log.info("running: %d cameras, models %s", len(config.cameras), ", ".join(models))
            if why := self._wait():
                _log.info("%s: stopping", why)
        finally:
            clean = stages.stop()
        if self._failure is not None:
            if isinstance(self._failure, EngineError):  # the backend said what happened
                _log.critical("stopped: %s", self._failure)
            else:
                _log.critical("stopped by an internal failure", exc_info=self._failure)
            return EXIT_FAILURE
        if not clean:
            _log.warning("stopped, but a thread did not end in time")
        else:
            _log.info("stopped")
        return EXIT_OK

    def _wait(self) -> str | None:
        """Waits to be asked to stop: by the signal of that name, or None.

        A signal that comes when the main thread is just about to sleep does not wake it, so it sleeps in short turns.
        """
        while True:
            with suppress(Empty):
                return self._stopping.get(timeout=_SLEEP)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._stopping.put(signal.Signals(number).name)

    def _fail(self, error: BaseException) -> None:
        """An error that no stage can name: stops everything; systemd starts the process again."""
        if self._failure is None:
            self._failure = error
        self._stopping.put(None)


class _Stages:
    """Everything that runs, wired together. What becomes of a model, and of its cameras then, is decided here."""

    def __init__(
        self, config: Config, backend: Backend, models: Mapping[str, Model], fail: Callable[[BaseException], None]
    ) -> None:
        """Raises UsageError."""
        self._config = config
        self._backend = backend
        self._models = models
        wanted = {name: _wanted(name, camera, config, models) for name, camera in config.cameras.items()}
        self._settings = {name: _settings(name, config, wanted) for name in models}
        self._info = _info(config, backend, models, self._settings)
        self._lost: set[str] = set()
        """cameras whose model has failed"""
        self._telling = threading.Lock()
        """guards both, and the order in which they are published"""
        stats, inference = Stats(), config.inference
        self._publisher = Publisher(config, self._info, stats, fail)
        self._events = EventStage(config.events, config.cameras, self._publisher.event)
        model_of = {name: camera.model for name, camera in config.cameras.items()}
        priority = {name: camera.priority for name, camera in config.cameras.items()}
        batcher = Batcher(model_of, inference.max_delay_ms / 1000, inference.max_age_ms / 1000, priority)
        self._handoff = Handoff(batcher, stats)
        thread = "cpu:0" if backend.gpu is None else "gpu:0"
        self._inference = InferenceThread(thread, self._handoff.take, wanted, self._result, self._opened, stats, fail)
        allocate = frame_allocator(backend)
        self._cameras = {
            name: CameraThread(name, camera, self._handoff.put, self._camera_status, stats, fail, allocate)
            for name, camera in config.cameras.items()
        }
        self._watch = Watch(fail)
        for camera in self._cameras.values():
            self._watch.add(camera)
        jobs = [self._job(name) for name in models]
        self._preparing = Preparing(jobs, self._model_status, self._prepared, fail)

    def start(self) -> None:
        """Starts every thread; models follow when they are ready."""
        self._publisher.start()
        self._inference.start()
        for camera in self._cameras.values():
            camera.start()
        self._watch.start()
        self._preparing.start()

    def stop(self) -> bool:
        """Stops the stages from left to right; whether every thread ended in time.

        A camera that hangs in the driver does not hold up the others: all are asked first, and what is left of the
        time is for the stages behind them. Their threads are daemon threads, so the process ends without them.
        """
        deadline = time.monotonic() + _STOP_WITHIN
        self._preparing.stop()
        self._watch.stop()
        for camera in self._cameras.values():
            camera.stop()
        self._handoff.close()
        self._publisher.hurry()
        self._inference.stop()
        clean = self._inference.join(_left(deadline) / 2)
        clean &= self._publisher.stop(_left(deadline) / 2)
        clean &= self._preparing.join(_left(deadline))
        for camera in self._cameras.values():
            clean &= camera.join(_left(deadline))
        return clean

    def _job(self, name: str) -> Job:
        """The model's work; the process that does it reads the file itself, which is less than to hand it over."""
        backend, settings = self._backend, self._settings[name]
        return Job(
            model=name,
            is_done=partial(is_prepared, backend, self._models[name], settings),
            work=partial(prepare_model, backend, self._config.models[name], settings),
        )

    def _prepared(self, name: str) -> None:
        """In the thread `prepare`: the lane is opened by who will own it."""
        self._model_status(name, ModelStatus(ModelState.BUILDING, 100, "loading"))
        model = self._models[name]
        open_it = partial(open_lane, self._backend, model, self._settings[name])
        self._inference.open(OpenModel(name, model.labels, open_it))

    def _opened(self, name: str, outcome: Lane | EngineError) -> None:
        """In the inference thread."""
        if isinstance(outcome, EngineError):
            self._model_status(name, ModelStatus(ModelState.FAILED, detail=str(outcome)))
            return
        self._handoff.ready(name, outcome.max_batch)
        _log.info("model %s: ready, %s on %s", name, self._info.models[name].precision, self._backend.name)
        self._model_status(name, ModelStatus(ModelState.READY))

    def _model_status(self, name: str, status: ModelStatus) -> None:
        if status.state is ModelState.FAILED:
            _log.error("model %s: %s", name, status.detail)
            self._give_up(name, status.detail)
        with self._telling:
            model = replace(self._info.models[name], status=status)
            self._info = replace(self._info, models={**self._info.models, name: model})
            self._publisher.info(self._info)

    def _give_up(self, model: str, why: str) -> None:
        """Stops the cameras of a model that has failed: nobody would look at their frames."""
        lost = {name for name, camera in self._config.cameras.items() if camera.model == model and camera.enabled}
        for name in lost:
            self._cameras[name].stop()
        self._handoff.refuse(model)
        with self._telling:
            self._lost |= lost
            detail = f"its model {model} failed: {why}"
            for name in lost:
                self._tell(CameraStatus(name, CameraState.OFFLINE, Reason.MODEL_FAILED, detail, time.time()))

    def _camera_status(self, status: CameraStatus) -> None:
        """In the camera's thread; what one that is being stopped still says is not the reason why it is offline."""
        with self._telling:
            if status.camera not in self._lost:
                self._tell(status)

    def _tell(self, status: CameraStatus) -> None:
        self._publisher.camera_status(status)
        self._events.camera_status(status)

    def _result(self, result: FrameResult) -> None:
        """In the inference thread."""
        self._events.result(result)
        self._publisher.result(result)


def _read(name: str, config: Config) -> Model:
    settings = config.models[name]
    model = configured_model(settings)
    _log.info("model %s: %s, family %s, %d classes", name, model.path.name, model.family.name, len(model.labels))
    if settings.file == BUILTIN_MODEL:
        _log.warning("model %s: the demonstration model knows drawn streets only; set models.%s.file", name, name)
    return model


def _wanted(name: str, camera: Camera, config: Config, models: Mapping[str, Model]) -> Wanted:
    """Raises UsageError for a label that the camera's model does not have."""
    known = models[camera.model].labels
    confidence = config.models[camera.model].confidence if camera.confidence is None else camera.confidence
    if camera.labels is None:
        return Wanted(confidence, None)
    unknown = [label for label in camera.labels if label not in known]
    if unknown:
        raise UsageError(
            f"cameras.{name}.labels: model {camera.model} has no class {unknown[0]!r} (it has: {', '.join(known)})"
        )
    return Wanted(confidence, tuple(known.index(label) for label in camera.labels))


def _settings(name: str, config: Config, wanted: Mapping[str, Wanted]) -> LaneSettings:
    least = min(wanted[camera].confidence for camera, c in config.cameras.items() if c.model == name)
    return lane_settings(config.models[name], config.inference, least)


def _info(
    config: Config, backend: Backend, models: Mapping[str, Model], settings: Mapping[str, LaneSettings]
) -> DaemonInfo:
    return DaemonInfo(
        version=__version__,
        backend=backend.name,
        backend_reason=backend.reason,
        gpu=backend.gpu,
        tensorrt=None if backend.name == CPU else backend.version,
        models={
            name: ModelInfo(
                file=model.path.name,
                family=model.family.name,
                width=model.width,
                height=model.height,
                labels=model.labels,
                precision=precision_of(backend, settings[name]).value,
                status=ModelStatus(ModelState.BUILDING, 0, "waiting"),
            )
            for name, model in models.items()
        },
        cameras=tuple(config.cameras),
    )


def _left(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())

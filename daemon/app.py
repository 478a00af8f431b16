"""The composition root: builds stages, threads and hand-offs; start, and the one way to stop."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Mapping
from types import FrameType

from daemon import __version__
from daemon.batch import Batcher
from daemon.capture.camera import CameraThread
from daemon.config.schema import BUILTIN_MODEL, Camera, Config
from daemon.config.schema import Model as ModelConfig
from daemon.errors import EXIT_FAILURE, EXIT_OK, UsageError
from daemon.handoff import Handoff
from daemon.infer import InferenceThread, LoadedModel, Wanted
from daemon.models import find_model
from daemon.publish.publisher import Publisher
from daemon.records import DaemonInfo, ModelInfo
from daemon.stats import Stats
from engines.backends import LaneSettings, choose, open_lane
from engines.model import Model
from engines.postprocess import Thresholds

_log = logging.getLogger("ospreyd")
_STOP_WITHIN = 4.5  # seconds for all stages together; systemd and users are promised 5


class App:
    """One daemon."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._stats = Stats()
        self._stopping = threading.Event()
        self._failure: BaseException | None = None

    def run(self) -> int:
        """Runs until SIGTERM, SIGINT or a failure; the exit code. Only for the main thread.

        Raises EngineError and UsageError where a model cannot be used; everything is stopped by then.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        config = self._config
        models = {name: _read(name, config) for name in sorted({c.model for c in config.cameras.values()})}
        wanted = {name: _wanted(name, camera, config, models) for name, camera in config.cameras.items()}
        publisher = Publisher(config, _info(config, models, "building"), self._stats, self._fail)
        publisher.start()
        handoff: Handoff | None = None
        inference: InferenceThread | None = None
        cameras: list[CameraThread] = []
        try:
            loaded = {name: self._load(name, model, wanted) for name, model in models.items()}
            publisher.info(_info(config, models, "ready"))
            handoff = self._handoff(loaded)
            inference = InferenceThread(handoff.take, loaded, wanted, publisher.result, self._stats, self._fail)
            inference.start()
            for name, camera in config.cameras.items():
                thread = CameraThread(name, camera, handoff.put, publisher.camera_status, self._stats, self._fail)
                cameras.append(thread)
                thread.start()
            _log.info("running: %d cameras, models %s", len(cameras), ", ".join(models))
            self._stopping.wait()
        finally:
            clean = _stop(cameras, handoff, inference, publisher)
        if self._failure is not None:
            _log.critical("stopped by an internal failure", exc_info=self._failure)
            return EXIT_FAILURE
        if not clean:
            _log.warning("stopped, but a thread did not end in time")
        else:
            _log.info("stopped")
        return EXIT_OK

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        _log.info("%s: stopping", signal.Signals(number).name)
        self._stopping.set()

    def _fail(self, error: BaseException) -> None:
        """An error that no stage can name: stops everything; systemd starts the process again."""
        if self._failure is None:
            self._failure = error
        self._stopping.set()

    def _load(self, name: str, model: Model, wanted: Mapping[str, Wanted]) -> LoadedModel:
        settings, inference = self._config.models[name], self._config.inference
        least = min(wanted[camera].confidence for camera, c in self._config.cameras.items() if c.model == name)
        lane_settings = LaneSettings(Thresholds(least, settings.iou), inference.max_batch, threads=inference.threads)
        lane = open_lane(choose(inference.backend), model, lane_settings)
        return LoadedModel(lane, model.labels)

    def _handoff(self, loaded: Mapping[str, LoadedModel]) -> Handoff:
        inference = self._config.inference
        batcher = Batcher(
            {name: camera.model for name, camera in self._config.cameras.items()},
            {name: model.lane.max_batch for name, model in loaded.items()},
            inference.max_delay_ms / 1000,
            inference.max_age_ms / 1000,
        )
        return Handoff(batcher, self._stats)


def _read(name: str, config: Config) -> Model:
    settings: ModelConfig = config.models[name]
    model = find_model(settings.file, settings.family, settings.labels)
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


def _info(config: Config, models: Mapping[str, Model], state: str) -> DaemonInfo:
    return DaemonInfo(
        version=__version__,
        backend="onnxruntime",
        gpu=None,
        tensorrt=None,
        models={
            name: ModelInfo(
                file=model.path.name,
                family=model.family.name,
                width=model.width,
                height=model.height,
                labels=model.labels,
                precision="fp32",
                state=state,
            )
            for name, model in models.items()
        },
        cameras=tuple(config.cameras),
    )


def _stop(
    cameras: list[CameraThread], handoff: Handoff | None, inference: InferenceThread | None, publisher: Publisher
) -> bool:
    """Stops the stages from left to right; whether every thread ended in time.

    A camera that hangs in the driver does not hold up the others: all are asked first, and what is left of the time
    is for the stages behind them. Their threads are daemon threads, so the process ends without them.
    """
    deadline = time.monotonic() + _STOP_WITHIN
    for camera in cameras:
        camera.stop()
    if handoff is not None:
        handoff.close()
    publisher.hurry()
    clean = True
    if inference is not None:
        inference.stop()
        clean &= inference.join(_left(deadline) / 2)
    clean &= publisher.stop(_left(deadline) / 2)
    for camera in cameras:
        clean &= camera.join(_left(deadline))
    return clean


def _left(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())

"""Everything that runs, wired together: what becomes of models and cameras is decided here."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from daemon import __version__
from daemon.analysis.filter import score_floor
from daemon.analysis.stage import AnalysisStage, Outputs
from daemon.batch import Batcher
from daemon.capture.buffers import FrameMemory
from daemon.capture.camera import CameraThread
from daemon.capture.cameras import Cameras
from daemon.config.reload import Difference, difference, used_models
from daemon.config.schema import Config
from daemon.control.commands import CommandRejected
from daemon.control.handler import CommandActions, CommandHandler
from daemon.control.inbox import Inbox
from daemon.control.parse import CommandParser, command_subscription
from daemon.control.running_config import RunningConfig
from daemon.control.worker import CommandWorker
from daemon.errors import UsageError
from daemon.handoff import Handoff
from daemon.infer import InferenceThread
from daemon.media.snapshots import Snapshots
from daemon.models import check_labels
from daemon.mqtt.topics import DeviceTopics
from daemon.publish.publisher import Publisher
from daemon.records import CameraState, CameraStatus, ConfigurationInfo, DaemonInfo, Frame, Reason
from daemon.service.http import HttpServer
from daemon.service.metrics import DaemonMetrics, registry_of
from daemon.service.status import StatusRegistry
from daemon.service.watchdog import Watchdog
from daemon.serving import Generation, Serving
from daemon.stats import Stats
from daemon.system.credits import Credits
from engines.backends import CPU, Backend, frame_allocator, slots

_log = logging.getLogger("ospreyd")
_STOP_WITHIN = 4.5  # seconds for all stages together; systemd and users are promised 5
_BESIDE = 2  # frames of a camera beside those in flight: one that is being filled, one that waits for its batch


@dataclass(frozen=True, slots=True)
class Plan:
    """A configuration that has been found to work, and what it takes to run with it."""

    config: Config
    difference: Difference
    generations: Mapping[str, Generation]
    """models that are new, or otherwise than they run"""


@dataclass(frozen=True, slots=True)
class Requests:
    """What commands ask of the main thread; see CommandActions."""

    apply: Callable[[], object]
    reload: Callable[[], str]


class Stages:
    """One set of stages; a configuration is planned and applied by the main thread."""

    def __init__(
        self,
        running: RunningConfig,
        backend: Backend,
        generations: Mapping[str, Generation],
        requests: Requests,
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        """`generations` of every model that a camera uses. Raises UsageError."""
        config = running.config
        check_labels(config, {name: generation.model.labels for name, generation in generations.items()})
        self._config = config
        self._on_fatal = on_fatal
        self._running = running
        self._stats = Stats()
        self._lost: dict[str, str] = {}
        """unavailable models and the reason"""
        self._cameras: dict[str, CameraThread] = {}
        self._info = _info(config, backend)
        credit = Credits()
        topics = DeviceTopics.of(config.mqtt.prefix, config.device)
        inbox = Inbox()
        subscription = command_subscription(topics, inbox.put)
        self._publisher = Publisher(config, self._info, self._stats, on_fatal, subscription, credit)
        self._snapshots = Snapshots(self._publisher.picture, self._publisher.largest_picture, on_fatal)
        actions = CommandActions(
            requests.apply, requests.reload, self._build_engine, self._snapshots.request, self._publisher.stats_now
        )
        handler = CommandHandler(running, actions)
        parser = CommandParser(topics, running.scope, self._publisher.request, self._publisher.reserved)
        self._commands = CommandWorker(config.device, inbox, parser, handler.execute, self._publisher.send, on_fatal)
        self._registry = StatusRegistry(
            config, self._info, self._stats, lambda: self._publisher.link.connected, lambda: credit.room() <= 0
        )
        self.service = Watchdog(self._registry, on_fatal)
        outputs = Outputs(
            self._publisher.results, self._publisher.event, self._snapshots.request, self._snapshots.offer
        )
        self._analysis = AnalysisStage(config, outputs, self._stats, credit, on_fatal)
        waits = config.inference.max_delay_ms / 1000, config.inference.max_age_ms / 1000
        self._handoff = Handoff(Batcher({}, *waits, credit=credit), self._stats)
        credit.on_room(self._handoff.has_credit)
        thread = "cpu:0" if backend.gpu is None else "gpu:0"
        self._inference = InferenceThread(thread, self._handoff, self._analysis.results, self._stats, on_fatal)
        queues = {
            "batch": self._handoff.waiting,
            "analysis": self._analysis.waiting,
            "formats": self._publisher.formats_waiting,
            "publish": self._publisher.waiting,
        }
        metrics = DaemonMetrics(self._registry, self.service, queues, self._publisher.outbox)
        self._http = HttpServer(config.service.metrics, self.service, registry_of(metrics), on_fatal)
        self._memory = FrameMemory(slots(backend) + _BESIDE, frame_allocator(backend))
        self._capture = Cameras(on_fatal)
        self._serving = Serving(
            backend, self._inference, self._handoff, self._floor, self._tell, self._give_up, on_fatal
        )
        self._lock = self._serving.lock
        """guards the configuration, cameras and info too, and the order in which they are published"""
        for generation in generations.values():
            self._serving.serve(generation)

    def start(self) -> None:
        """Starts every thread; models follow when they are ready."""
        self._publisher.start()
        self._running.start(self._publisher.setting)
        self._snapshots.start()
        self._commands.start()
        self._analysis.start()
        self._inference.start()
        with self._lock:
            for name in self._config.cameras:
                self._open(name)
        self._capture.start()
        self._serving.start()
        self.service.start()
        self._http.start()

    def stop(self) -> bool:
        """Stops the stages from left to right; whether every thread ended in time.

        A camera that hangs in the driver does not hold up the others: all are asked first, and what is left of the
        time is for the stages behind them. Their threads are daemon threads, so the process ends without them.
        """
        deadline = time.monotonic() + _STOP_WITHIN
        self.service.stop()
        self._http.stop()
        self._commands.stop()
        self._snapshots.stop()
        self._serving.stop()
        self._capture.stop()
        self._handoff.close()
        self._publisher.hurry()
        self._inference.stop()
        clean = self._inference.join(_left(deadline) / 2)
        self._analysis.stop()
        clean &= self._analysis.join(_left(deadline) / 4)
        clean &= self._publisher.stop(_left(deadline) / 2)
        others = self._commands, self._snapshots, self._serving, self.service, self._http, self._capture
        for other in others:
            clean &= other.join(_left(deadline))
        return clean

    def plan(self, config: Config, reread: bool) -> Plan:
        """What it takes to run with `config`; changes nothing. Raises UsageError and EngineError where it cannot.

        With `reread` the models' files are looked at too, and models that have failed are tried again.
        """
        different = difference(self._config, config)
        if different.fixed:
            raise UsageError(
                f"{', '.join(different.fixed)}: cannot be changed while ospreyd runs; restart it for that "
                "(systemctl restart ospreyd)"
            )
        latest = {name: self._serving.latest(name) for name in used_models(config)}
        wanted = set(different.models)
        if reread:
            wanted |= {name for name, one in latest.items() if one is None or not one.is_of(config)}
        generations = {name: Generation.read(name, config) for name in sorted(wanted)}
        known = {name: (generations.get(name) or generation) for name, generation in latest.items()}
        check_labels(config, {name: one.model.labels for name, one in known.items() if one is not None})
        return Plan(config, different, generations)

    def apply(self, plan: Plan) -> None:
        """Runs with the configuration of a plan that was made of what runs; returns when all of it has begun.

        An unexpected error is raised after the previous configuration has been applied again. Where that fails too,
        nobody knows what runs, and the daemon stops.
        """
        before = self._config
        try:
            self._apply(plan)
        except Exception:
            try:
                self._apply(self.plan(before, reread=False))
            except Exception as error:
                self._on_fatal(error)
            raise

    def _apply(self, plan: Plan) -> None:
        config, different = plan.config, plan.difference
        with self._lock:
            self._config = config
            for name in different.removed:
                self._remove(name)
            self._handoff.limit(config.inference.max_delay_ms / 1000, config.inference.max_age_ms / 1000)
            for name in different.unused:
                self._serving.drop(name)
                self._lost.pop(name, None)
            found = self._lost.keys() & plan.generations.keys()
            again = {name for name, camera in config.cameras.items() if camera.model in found}
            for generation in plan.generations.values():
                self._lost.pop(generation.name, None)
                self._serving.serve(generation)
            # before a camera is opened, whose first state and frame would not be known otherwise
            self._info = replace(self._info, cameras=tuple(config.cameras), models=self._serving.infos)
            self._analysis.configure(config)
            self._publisher.configure(config)
            self._registry.use(config, self._info)
            for name in config.cameras:
                if name in different.added or name in different.reopened or name in again:
                    self._open(name)
                elif name in different.changed:
                    self._change(name)
            self._serving.refresh()
            self._tell()

    def loaded(self) -> None:
        """The configuration file has been read and is applied."""
        with self._lock:
            self._info = replace(self._info, configuration=ConfigurationInfo(time.time()))
            self._tell()

    def refused(self, errors: Sequence[str]) -> None:
        """A configuration has been refused, with these sentences."""
        with self._lock:
            refused = replace(self._info.configuration, errors=tuple(errors))
            self._info = replace(self._info, configuration=refused)
            self._tell()

    def _build_engine(self, model: str) -> None:
        """Builds a model again, also one that failed, whose cameras are opened again. Raises CommandRejected."""
        with self._lock:
            if not self._serving.retry(model):
                raise CommandRejected(
                    f"model {model} needs no engine: no camera uses it, or it runs on ONNX Runtime in FP32"
                )
            if self._lost.pop(model, None) is not None:
                for name, camera in self._config.cameras.items():
                    if camera.model == model:
                        self._open(name)

    def _open(self, name: str) -> None:
        """Opens a camera, and closes it first where it is open."""
        self._close(name)
        camera = self._config.cameras[name]
        if camera.enabled and camera.model in self._lost:
            self._say(_without_model(name, camera.model, self._lost[camera.model]))
            return

        def reported(status: CameraStatus) -> None:
            """In the camera's thread; what one that is being closed still says is no longer true."""
            with self._lock:
                if self._cameras.get(name) is thread:
                    self._say(status)

        def deliver(frame: Frame) -> None:
            self._handoff.put(frame, lambda: self._cameras.get(name) is thread)

        thread = CameraThread(name, camera, deliver, reported, self._stats, self._on_fatal, self._memory)
        self._handoff.set_camera(name, camera.model, camera.priority)
        self._cameras[name] = thread
        self._capture.open(thread)

    def _close(self, name: str) -> None:
        """Its thread ends when it can; one that hangs is left behind. What waits of it is forgotten."""
        if (thread := self._cameras.pop(name, None)) is not None:
            self._capture.close(thread)
            self._handoff.remove_camera(name)

    def _change(self, name: str) -> None:
        """What does not concern how the camera is opened."""
        camera = self._config.cameras[name]
        if name in self._cameras:
            self._handoff.set_camera(name, camera.model, camera.priority)
            self._cameras[name].limit(camera.fps)

    def _remove(self, name: str) -> None:
        self._close(name)
        self._stats.forget(name)

    def _floor(self, generation: Generation) -> float:
        """In the inference thread."""
        return score_floor(self._config, generation.name)

    def _tell(self) -> None:
        with self._lock:
            self._info = replace(self._info, models=self._serving.infos)
            self._publisher.info(self._info)
            self._registry.info(self._info)

    def _give_up(self, model: str, why: str) -> None:
        """Stops the cameras of a model that has failed: nobody would look at their frames."""
        self._lost[model] = why
        for name, camera in self._config.cameras.items():
            if camera.model == model and camera.enabled:
                self._close(name)
                self._say(_without_model(name, model, why))

    def _say(self, status: CameraStatus) -> None:
        self._publisher.camera_status(status)
        self._analysis.camera_status(status)
        self._registry.camera_status(status)


def _info(config: Config, backend: Backend) -> DaemonInfo:
    return DaemonInfo(
        version=__version__,
        backend=backend.name,
        backend_reason=backend.reason,
        gpu=backend.gpu,
        tensorrt=None if backend.name == CPU else backend.version,
        models={},
        cameras=tuple(config.cameras),
        configuration=ConfigurationInfo(time.time()),
    )


def _without_model(camera: str, model: str, why: str) -> CameraStatus:
    why = f"its model {model} failed: {why}"
    now = time.time()
    return CameraStatus(camera, CameraState.OFFLINE, Reason.MODEL_FAILED, why, since=now, changed_at=now)


def _left(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())

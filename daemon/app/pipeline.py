"""Everything that runs, wired together: shard, publishing, commands and what watches them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from daemon import __version__
from daemon.analysis.stage import Outputs
from daemon.app.placement import layout
from daemon.app.reload import Plan, make_plan, plan_back
from daemon.app.shard import Reports, Shard, Shared, picture_outputs
from daemon.app.shard_pictures import RemoteWishes
from daemon.app.shard_processes import ShardProcesses
from daemon.app.shard_receiver import Destinations
from daemon.capture.picture_wishes import PictureWishes
from daemon.config.difference import used_models
from daemon.config.schema import Config
from daemon.control.command_worker import CommandWorker
from daemon.control.commands import CommandRejected
from daemon.control.handler import CommandActions, CommandHandler
from daemon.control.inbox import Inbox
from daemon.control.parse import CommandParser, command_subscription
from daemon.control.running_config import RunningConfig
from daemon.media.snapshots import Snapshots, Subject
from daemon.mqtt.topics import DeviceTopics
from daemon.publish.publisher import Publisher
from daemon.records import CameraStatus, ConfigurationInfo, DaemonInfo, Event, FrameResult
from daemon.service.http_server import HttpServer
from daemon.service.metrics import DaemonMetrics, registry_of
from daemon.service.status import StatusRegistry
from daemon.service.watchdog import Watchdog
from daemon.stats import Stats
from daemon.system.credits import Credits
from daemon.view.rendezvous import meeting_place
from daemon.view.view_thread import Sources as ViewSources
from daemon.view.view_thread import View
from engines.backends import CPU, Backend
from engines.backends import gpus as count_gpus
from engines.folders import runtime_folder

_STOP_WITHIN = 4.5  # seconds for all stages together; systemd and users are promised 5


@dataclass(frozen=True, slots=True)
class Requests:
    """What commands ask of the main thread; see CommandActions."""

    apply: Callable[[], object]
    reload: Callable[[], str]
    check: Callable[[str], object]


class Pipeline:
    """All stages of the daemon; configurations are applied by the main thread."""

    def __init__(
        self,
        running: RunningConfig,
        backend: Backend,
        plan: Plan,
        requests: Requests,
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        """`plan` of the first configuration, which is that of `running`. Raises UsageError."""
        config = plan.config
        self._config = config
        self._running = running
        gpus = layout(config, count_gpus(backend))
        wishes = RemoteWishes() if len(gpus) > 1 else PictureWishes()
        self._shared = Shared(Stats(), Credits(), threading.RLock(), on_fatal, wishes)
        self._lock, stats, credit = self._shared.lock, self._shared.stats, self._shared.credits
        self._info = _info(config, backend)
        topics = DeviceTopics.of(config.mqtt.prefix, config.device)
        inbox = Inbox()
        subscription = command_subscription(topics, inbox.put)
        self._view = self._open_view(config, inbox)
        retained = None if self._view is None else self._view.retained
        self._publisher = Publisher(config, self._info, stats, on_fatal, subscription, credit, retained)
        self._snapshots = Snapshots(self._picture, self._publisher.largest_picture, on_fatal)
        self._registry = self._status()
        self.watchdog = Watchdog(self._registry, on_fatal)
        self._shard: Shard | ShardProcesses
        if isinstance(wishes, RemoteWishes):
            self._shard = processes = self._processes(backend, gpus, wishes)
            take_picture = processes.take_picture
        else:
            self._shard, take_picture = self._alone(backend), self._snapshots.request
        actions = CommandActions(
            requests.apply,
            requests.reload,
            self._build_engine,
            take_picture,
            self._publisher.stats_now,
            self._shard.reset_lines,
            requests.check,
        )
        handler = CommandHandler(running, actions)
        parser = CommandParser(topics, running.scope, self._publisher.request, self._publisher.reserved)
        self._commands = CommandWorker(config.device, inbox, parser, handler.execute, self._publisher.send, on_fatal)
        queues = {
            **self._shard.queues,
            "formats": self._publisher.formats_waiting,
            "publish": self._publisher.waiting,
        }
        metrics = DaemonMetrics(self._registry, self.watchdog, queues, self._publisher.outbox.status)
        self._http = HttpServer(config.service.metrics, self.watchdog, registry_of(metrics), on_fatal)
        for revision in plan.revisions.values():
            self._shard.load(revision)

    def start(self) -> None:
        """Starts every thread; models follow when they are ready."""
        self._publisher.start()
        self._running.start(self._publisher.setting)
        self._snapshots.start()
        self._commands.start()
        self._shard.start()
        self.watchdog.start()
        self._http.start()
        if self._view is not None:
            self._view.start()

    def stop(self) -> bool:
        """Stops the stages from left to right; whether every thread ended in time.

        A camera that hangs in the driver does not hold up the others: all are asked first, and what is left of the
        time is for the stages behind them. Their threads are daemon threads, so the process ends without them.
        """
        deadline = time.monotonic() + _STOP_WITHIN
        self.watchdog.stop()
        self._http.stop()
        if self._view is not None:
            self._view.stop()
        self._commands.stop()
        self._publisher.hurry()
        self._shard.stop()
        clean = self._shard.join_analysis(_left(deadline) / 2)
        self._snapshots.stop()  # after the objects have left, of which it has pictures
        clean &= self._snapshots.join(_left(deadline) / 4)
        clean &= self._publisher.stop(_left(deadline) / 2)
        for other in (self._commands, self._shard, self.watchdog, self._http):
            clean &= other.join(_left(deadline))
        return clean and (self._view is None or self._view.join(_left(deadline)))

    def plan(self, config: Config, reread: bool) -> Plan:
        """See make_plan."""
        return make_plan(self._config, config, self._shard.latest, reread)

    def apply(self, plan: Plan) -> None:
        """Runs with the configuration of a plan that was made of what runs; returns when all of it has begun.

        An unexpected error is raised after the previous configuration has been applied again. Where that fails
        too, the state is unknown and the daemon stops.
        """
        with self._lock:
            before = self._config
            found = {name: self._shard.configured(name) for name in used_models(before)}
            models = {name: revision for name, revision in found.items() if revision is not None}
        try:
            self._apply(plan)
        except Exception:
            try:
                with self._lock:
                    self._apply(plan_back(self._config, before, models, self._shard.configured))
            except Exception as error:
                self._shared.on_fatal(error)
            raise

    def loaded(self) -> None:
        """The configuration file has been read and is applied."""
        with self._lock:
            self._info = replace(self._info, configuration=ConfigurationInfo(time.monotonic()))
            self._publish_info()

    def refused(self, errors: Sequence[str]) -> None:
        """A configuration has been refused, with these sentences."""
        with self._lock:
            refused = replace(self._info.configuration, errors=tuple(errors))
            self._info = replace(self._info, configuration=refused)
            self._publish_info()

    def _apply(self, plan: Plan) -> None:
        with self._lock:
            self._config = plan.config
            self._shard.apply(plan, self._announce)
            self._publish_info()

    def _status(self) -> StatusRegistry:
        """What is known of the state of everything."""
        credit = self._shared.credits
        return StatusRegistry(
            self._config,
            self._info,
            self._shared.stats,
            lambda: self._publisher.link.connected,
            lambda: credit.room() <= 0,
            self._publisher.outbox.problem,
            lambda: self._shard.busy_for(),  # noqa: PLW0108 - made later
        )

    def _open_view(self, config: Config, inbox: Inbox) -> View | None:
        """What the web page's process sees; None where there is none."""
        place = None if config.service.web is None else meeting_place(runtime_folder, config.device)
        if place is None:
            return None
        sources = ViewSources(
            lambda: self._config,
            lambda: self._registry.snapshot(),  # noqa: PLW0108 - made later
            lambda: self._publisher.link,
            lambda: self._publisher.outbox.counts(),  # noqa: PLW0108 - made later
            inbox.put,
        )
        shared = self._shared
        return View(config, place, shared.stats, shared.wishes, sources, shared.on_fatal)

    def _alone(self, backend: Backend) -> Shard:
        """Everything in this process."""
        outputs = Outputs(self._results, self._event, picture_outputs(self._snapshots), self._publisher.area)
        return Shard(self._config, backend, self._shared, outputs, self._reports(), self._publisher.objects.totals())

    def _processes(self, backend: Backend, gpus: Sequence[int], wishes: RemoteWishes) -> ShardProcesses:
        """Capture, inference and analysis in processes of their own, on these GPUs."""
        publisher, objects = self._publisher, self._publisher.objects
        outputs = Destinations(
            self._results,
            self._event,
            publisher.area,
            self._snapshots.fit,
            wishes.filled,
            objects.totals,
            objects.left_open,
        )
        shards = ShardProcesses(
            self._config, backend, gpus, self._shared, outputs, self._reports(), self._registry.snapshot
        )
        wishes.connect(shards.send)
        return shards

    def _reports(self) -> Reports:
        return Reports(self._camera_status, self._publish_info)

    def _results(self, results: Sequence[FrameResult]) -> None:
        self._publisher.results(results)
        if self._view is not None:
            self._view.results(results)

    def _event(self, event: Event) -> None:
        self._publisher.event(event)
        if self._view is not None:
            self._view.event(event)

    def _picture(self, subject: Subject, jpeg: bytes) -> None:
        self._publisher.picture(subject, jpeg)
        if self._view is not None:
            self._view.picture(subject, jpeg)

    def _announce(self) -> None:
        """Publishing and monitoring take the new configuration."""
        self._info = replace(self._info, cameras=tuple(self._config.cameras), models=self._shard.models)
        self._publisher.configure(self._config)
        self._registry.use(self._config, self._info)

    def _build_engine(self, model: str) -> None:
        """Builds a model again, also one that failed, whose cameras are opened again. Raises CommandRejected."""
        with self._lock:
            if not self._shard.retry(model):
                raise CommandRejected(
                    f"model {model} needs no engine: no camera uses it, or it runs on ONNX Runtime in FP32"
                )

    def _publish_info(self) -> None:
        with self._lock:
            self._info = replace(self._info, models=self._shard.models)
            self._publisher.info(self._info)
            self._registry.info(self._info)

    def _camera_status(self, status: CameraStatus) -> None:
        self._publisher.camera_status(status)
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
        configuration=ConfigurationInfo(time.monotonic()),
    )


def _left(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())

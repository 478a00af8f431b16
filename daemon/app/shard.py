"""Capture, inference and analysis of the cameras of one GPU, wired together; it knows nothing of MQTT."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from daemon.analysis.areas import Totals
from daemon.analysis.filter import score_floor
from daemon.analysis.picture_requests import PictureOutputs
from daemon.analysis.stage import AnalysisStage, Outputs
from daemon.app.reload import Plan
from daemon.capture.buffers import FrameMemory
from daemon.capture.camera import CameraThread
from daemon.capture.cameras import Cameras
from daemon.capture.picture_wishes import PictureWishes
from daemon.capture.sources.editing import is_edited as edits
from daemon.config.schema import Config
from daemon.inference.batcher import Batcher
from daemon.inference.frame_queue import FrameQueue
from daemon.inference.model_manager import ModelManager, ModelReports
from daemon.inference.model_revision import ModelRevision
from daemon.inference.worker import InferenceWorker
from daemon.media.snapshots import Snapshots
from daemon.records import CameraState, CameraStatus, Frame, ModelInfo, Reason
from daemon.stats import Stats
from daemon.system.credits import Credits
from engines.backends import Backend, frame_allocator, frames_on, slots

_BESIDE = 2  # frames of a camera beside those in flight: one that is being filled, one that waits for its batch


@dataclass(frozen=True, slots=True)
class Shared:
    """What everything in one process shares."""

    stats: Stats
    credits: Credits
    lock: threading.RLock
    """guards configuration, cameras and models, and the order in which their changes are reported"""
    on_fatal: Callable[[BaseException], None]
    wishes: PictureWishes = field(default_factory=PictureWishes)


@dataclass(frozen=True, slots=True)
class Reports:
    """What a shard reports, in any thread and with the lock."""

    camera_status: Callable[[CameraStatus], None]
    models_changed: Callable[[], None]


class Shard:
    """Owns these stages. Apart from `start` and `stop` its methods need the lock."""

    def __init__(
        self,
        config: Config,
        backend: Backend,
        shared: Shared,
        outputs: Outputs,
        reports: Reports,
        totals: Mapping[str, Totals],
        number: int = 0,
    ) -> None:
        """Nothing runs before `start`. `totals` of crossings of lines by camera, which are counted on.

        `number`: which of the daemon's shards it is.
        """
        self._config = config
        self._shared = shared
        self._reports = reports
        stats, on_fatal = shared.stats, shared.on_fatal
        self._analysis = AnalysisStage(config, outputs, stats, shared.credits, on_fatal, totals, number)
        waits = config.inference.max_delay_ms / 1000, config.inference.max_age_ms / 1000
        self._frame_queue = FrameQueue(Batcher({}, *waits, credit=shared.credits), stats)
        shared.credits.on_room(self._frame_queue.has_credit)
        thread = "cpu:0" if backend.gpu is None else "gpu:0"
        results, waiting = self._analysis.results, self._analysis.waiting
        self._inference = InferenceWorker(thread, self._frame_queue, results, stats, on_fatal, waiting)
        self._memory = FrameMemory(slots(backend) + _BESIDE, frame_allocator(backend), frames_on(backend))
        self._capture = Cameras(on_fatal)
        models = ModelReports(shared.lock, reports.models_changed, self._give_up)
        self._model_manager = ModelManager(backend, self._inference, self._frame_queue, self._floor, models, on_fatal)
        self._cameras: dict[str, CameraThread] = {}
        self._unavailable: dict[str, str] = {}
        """models that cannot be used, and the reason"""

    @property
    def models(self) -> Mapping[str, ModelInfo]:
        """What is known of every model."""
        return self._model_manager.infos

    @property
    def failed(self) -> frozenset[str]:
        """See ModelManager.failed."""
        return self._model_manager.failed

    @property
    def queues(self) -> Mapping[str, Callable[[], int]]:
        """By name, how much waits in a queue; for any thread."""
        return {"batch": self._frame_queue.waiting, "analysis": self._analysis.waiting}

    def busy_for(self) -> float:
        """See InferenceWorker.busy_for."""
        return self._inference.busy_for()

    def latest(self, model: str) -> ModelRevision | None:
        """See ModelManager.latest."""
        return self._model_manager.latest(model)

    def configured(self, model: str) -> ModelRevision | None:
        """See ModelManager.configured."""
        return self._model_manager.configured(model)

    def load(self, revision: ModelRevision) -> None:
        """Builds a model where that is needed and opens it; the one of its name that runs goes on until then."""
        self._unavailable.pop(revision.name, None)
        self._model_manager.load(revision)

    def reset_lines(self, camera: str | None) -> None:
        """Resets the totals of lines, of one camera or all; for any thread."""
        self._analysis.reset_lines(camera)

    def start(self) -> None:
        """Starts every thread and opens every camera; models follow when they are ready."""
        self._analysis.start()
        self._inference.start()
        with self._shared.lock:
            for name in self._config.cameras:
                self._open(name)
        self._capture.start()
        self._model_manager.start()

    def stop(self) -> None:
        """Asks capture, model loading and inference to end; returns at once. Analysis goes on until `join_analysis`."""
        self._model_manager.stop()
        self._capture.stop()
        self._frame_queue.close()
        self._inference.stop()

    def join_analysis(self, timeout: float) -> bool:
        """Whether every frame that was captured has been analysed and handed on within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        ended = self._inference.join(timeout * 2 / 3)
        self._analysis.stop()
        return self._analysis.join(max(0.0, deadline - time.monotonic())) and ended

    def join(self, timeout: float) -> bool:
        """Whether the other threads have ended within `timeout` seconds; a camera that hangs may not."""
        deadline = time.monotonic() + timeout
        ended = self._model_manager.join(timeout)
        return self._capture.join(max(0.0, deadline - time.monotonic())) and ended

    def apply(self, plan: Plan, announce: Callable[[], None]) -> None:
        """Runs with the configuration of a plan.

        `announce` is called when removed cameras are closed and new models are known, before cameras are opened:
        publishing must know a camera before its first state and frame.
        """
        config, different = plan.config, plan.difference
        self._config = config
        for name in different.removed:
            self._close(name)
            self._shared.stats.forget(name)
        self._frame_queue.limit(config.inference.max_delay_ms / 1000, config.inference.max_age_ms / 1000)
        for model in different.unused:
            self._model_manager.drop(model)
            self._unavailable.pop(model, None)
        again = self._unavailable.keys() & plan.revisions.keys()
        for revision in plan.revisions.values():
            self.load(revision)
        self._analysis.configure(config)
        announce()
        for name, camera in config.cameras.items():
            if name in different.added or name in different.reopened or camera.model in again:
                self._open(name)
            elif name in different.changed:
                self._change(name)
        self._model_manager.refresh()

    def retry(self, model: str) -> bool:
        """Builds a model again, also one that failed, whose cameras are opened again; False: it needs no engine."""
        if not self._model_manager.retry(model):
            return False
        if self._unavailable.pop(model, None) is not None:
            for name, camera in self._config.cameras.items():
                if camera.model == model:
                    self._open(name)
        return True

    def _open(self, name: str) -> None:
        """Opens a camera, and closes it first where it is open."""
        self._close(name)
        camera = self._config.cameras[name]
        if camera.enabled and camera.model in self._unavailable:
            self._report(_model_failed(name, camera.model, self._unavailable[camera.model]))
            return

        def reported(status: CameraStatus) -> None:
            """In the camera's thread; what one that is being closed still reports is no longer true."""
            with self._shared.lock:
                if self._cameras.get(name) is thread:
                    self._report(status)

        wishes, is_edited = self._shared.wishes, edits(camera)

        def deliver(frame: Frame) -> None:
            wishes.delivered(frame, is_edited)
            self._frame_queue.put(frame, lambda: self._cameras.get(name) is thread)

        shared = self._shared
        thread = CameraThread(name, camera, deliver, reported, shared.stats, shared.on_fatal, self._memory)
        thread.on_received(partial(wishes.received, name))
        self._frame_queue.set_camera(name, camera.model, camera.priority)
        self._cameras[name] = thread
        self._capture.open(thread)

    def _close(self, name: str) -> None:
        """Its thread ends when it can; its waiting frames are released."""
        if (thread := self._cameras.pop(name, None)) is not None:
            self._capture.close(thread)
            self._frame_queue.remove_camera(name)

    def _change(self, name: str) -> None:
        """Applies settings that need no new connection."""
        camera = self._config.cameras[name]
        if name in self._cameras:
            self._frame_queue.set_camera(name, camera.model, camera.priority)
            self._cameras[name].limit(camera.fps)

    def _give_up(self, model: str, why: str) -> None:
        """Closes the cameras of a model that has failed."""
        self._unavailable[model] = why
        for name, camera in self._config.cameras.items():
            if camera.model == model and camera.enabled:
                self._close(name)
                self._report(_model_failed(name, model, why))

    def _report(self, status: CameraStatus) -> None:
        self._analysis.camera_status(status)
        self._reports.camera_status(status)

    def _floor(self, revision: ModelRevision) -> float:
        """In any thread."""
        return score_floor(self._config, revision.name)


def picture_outputs(snapshots: Snapshots) -> PictureOutputs:
    """What analysis asks of snapshots."""
    return PictureOutputs(snapshots.request, snapshots.offer, snapshots.portray, snapshots.end_portrait)


def _model_failed(camera: str, model: str, why: str) -> CameraStatus:
    detail = f"its model {model} failed: {why}"
    now = time.monotonic()
    return CameraStatus(camera, CameraState.OFFLINE, Reason.MODEL_FAILED, detail, now, time.time(), now)

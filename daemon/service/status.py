"""The current state of cameras, models and counters, for the watchdog, the metrics and the health checks."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from daemon.config.camera import Camera, Pace
from daemon.config.schema import Config
from daemon.config.sources import is_live
from daemon.records import CameraState, CameraStatus, DaemonInfo, Drop, ModelState
from daemon.records.info import LOADING, WAITING
from daemon.service.health import HealthCounters
from daemon.stats import CameraCount, DaemonCount, Stats, Totals

_GAP = 10.0  # seconds added to stall_after before a streaming camera without frames is suspicious


@dataclass(frozen=True, slots=True)
class StatusSnapshot:
    """The daemon at one moment."""

    config: Config
    info: DaemonInfo
    totals: Totals
    cameras: Mapping[str, CameraStatus]
    """of the cameras that have reported a state"""
    builds: Mapping[tuple[str, str], int]
    """engine builds since the daemon started, by model and outcome (built, failed)"""
    connected: bool
    """to the broker"""
    held: bool = False
    """later stages have no room for frames that must not be dropped"""
    outbox_problem: str | None = None
    """why events wait in memory only; None where they are on disk"""
    busy_for: float = 0.0
    """see InferenceWorker"""

    @property
    def streaming(self) -> list[str]:
        """Names of the cameras that are streaming."""
        return [name for name, status in self.cameras.items() if status.state is CameraState.STREAMING]

    @property
    def processed(self) -> int:
        """Frames that went through their models, of all cameras."""
        return sum(camera[CameraCount.PROCESSED] for camera in self.totals.cameras.values())

    @property
    def started(self) -> bool:
        """Whether a frame was processed, or the state of every camera is known."""
        connecting = [s for s in self.cameras.values() if s.state is CameraState.CONNECTING and s.reason is None]
        return self.processed > 0 or (not connecting and self.cameras.keys() == self.config.cameras.keys())

    def health_counters(self) -> HealthCounters:
        """The counters that Health.judge takes."""
        totals, cameras = self.totals.cameras, self.config.cameras
        files = {name for name, camera in cameras.items() if camera.enabled and not _is_live(camera)}
        held = files if self.held else set[str]()
        waiting = held if self.connected else files
        owed = {name: counts for name, counts in totals.items() if name not in waiting}
        streaming = {name: totals[name][CameraCount.CAPTURED] for name in self.streaming if name not in held}
        return HealthCounters(
            captured=streaming,
            expected={name: count for name, count in streaming.items() if self._is_ready(name)},
            inferred=self.processed + sum(c.dropped.get(Drop.TOO_OLD, 0) for c in totals.values()),
            processed={name: of[CameraCount.PROCESSED] - of[CameraCount.SKIPPED] for name, of in owed.items()},
            handed_on={name: of[CameraCount.HANDED_ON] for name, of in owed.items()},
            published=self.totals[DaemonCount.NETWORK_FULL] + self.totals[DaemonCount.RESULTS_FINISHED],
            analysed=self.totals[DaemonCount.RESULTS_ANALYSED],
            formatted=self.totals[DaemonCount.RESULTS_FORMATTED] if self._has_formats() else None,
            patience=max((_patience(cameras[name]) for name in streaming), default=0.0),
            loading=any(model.status == LOADING for model in self.info.models.values()),
            held=bool(held),
            busy_for=self.busy_for,
            unready=frozenset(name for name in files if not self._is_ready(name)),
        )

    def _has_formats(self) -> bool:
        return any(value is not None for _, value in self.config.mqtt.formats)

    def _is_ready(self, camera: str) -> bool:
        """Whether the camera's model is ready; during a reload the model may still be unknown."""
        model = self.info.models.get(self.config.cameras[camera].model)
        return model is not None and model.status.state is ModelState.READY


class StatusRegistry:
    """Keeps the latest states; thread-safe."""

    def __init__(
        self,
        config: Config,
        info: DaemonInfo,
        stats: Stats,
        connected: Callable[[], bool],
        held: Callable[[], bool] = lambda: False,
        outbox_problem: Callable[[], str | None] = lambda: None,
        busy_for: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """`connected` to the broker; `held`: whether frames that must not be dropped wait for room in later stages.

        `outbox_problem`: why events wait in memory only. `busy_for`: see InferenceWorker.
        """
        self._busy_for = busy_for
        self._outbox_problem = outbox_problem
        self._stats = stats
        self._connected = connected
        self._held = held
        self._lock = threading.Lock()
        """guards what follows"""
        self._config = config
        self._info = info
        self._cameras: dict[str, CameraStatus] = {}
        self._building: set[str] = set()
        self._builds: Counter[tuple[str, str]] = Counter()

    def use(self, config: Config, info: DaemonInfo) -> None:
        """Applies a new configuration and forgets cameras that are not in it."""
        with self._lock:
            self._config = config
            self._cameras = {name: status for name, status in self._cameras.items() if name in config.cameras}
            self._take(info)

    def camera_status(self, status: CameraStatus) -> None:
        """Stores a camera's new state."""
        with self._lock:
            if status.camera in self._config.cameras:
                self._cameras[status.camera] = status

    def info(self, info: DaemonInfo) -> None:
        """Stores the new device info."""
        with self._lock:
            self._take(info)

    def snapshot(self) -> StatusSnapshot:
        """The current state."""
        with self._lock:
            config, info, cameras, builds = self._config, self._info, dict(self._cameras), dict(self._builds)
        totals = self._stats.totals(config.cameras)
        states = self._connected(), self._held(), self._outbox_problem(), self._busy_for()
        return StatusSnapshot(config, info, totals, cameras, builds, *states)

    def _take(self, info: DaemonInfo) -> None:
        """Stores the info and counts engine builds that ended; a model that waits or is loaded is not being built."""
        for name, model in info.models.items():
            before, status = self._info.models.get(name), model.status
            if before is None or before.status == status:
                continue
            if status.state is ModelState.BUILDING and status not in {WAITING, LOADING}:
                self._building.add(name)
            elif name in self._building:
                self._building.remove(name)
                if status == WAITING:  # cancelled, for another attempt
                    continue
                self._builds[name, "failed" if status.state is ModelState.FAILED else "built"] += 1
        self._info = info


def _is_live(camera: Camera) -> bool:
    return camera.pace is Pace.REALTIME or is_live(camera.source)


def _patience(camera: Camera) -> float:
    """Seconds after which the camera's own stall detection must have noticed a missing frame."""
    return camera.stall_after + _GAP + (0.0 if camera.fps is None else 1 / camera.fps)

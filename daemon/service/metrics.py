"""Prometheus metrics, computed from the status snapshot at each scrape."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from pathlib import Path

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from daemon.records import CameraState, Drop, ModelState, OutboxStatus
from daemon.service.gpu_readings import Gpu, read_gpus
from daemon.service.status import StatusRegistry, StatusSnapshot
from daemon.service.watchdog import Watchdog
from daemon.stats import BUCKETS, CameraCount, DaemonCount
from daemon.system.logs import lost_lines

_GPU: tuple[tuple[str, Callable[[Gpu], float | None], str], ...] = (
    ("utilization_ratio", lambda gpu: gpu.utilization, "GPU utilisation, 0 to 1."),
    ("memory_used_bytes", lambda gpu: gpu.memory_used, "GPU memory used by all processes."),
    ("memory_total_bytes", lambda gpu: gpu.memory_total, "GPU memory."),
    ("temperature_celsius", lambda gpu: gpu.temperature, "Temperature of the GPU."),
)


class DaemonMetrics(Collector):
    """Every metric of the daemon, for the cameras and models that are configured now."""

    def __init__(
        self,
        registry: StatusRegistry,
        service: Watchdog,
        queues: Mapping[str, Callable[[], int]],
        outbox: Callable[[], OutboxStatus | None] = lambda: None,
    ) -> None:
        """`queues`: length of each queue by name; `outbox`: its status, None if unknown. Called in any thread."""
        self._registry = registry
        self._service = service
        self._queues = queues
        self._outbox = outbox

    def collect(self) -> Iterator[Metric]:
        """Called at every scrape."""
        snapshot = self._registry.snapshot()
        yield from _counts(snapshot)
        yield from _cameras(snapshot)
        yield from _objects(snapshot)
        yield from _latencies(snapshot)
        yield from _models(snapshot)
        yield from self._daemon(snapshot)
        yield from _gpus()

    def _daemon(self, snapshot: StatusSnapshot) -> Iterator[Metric]:
        info = snapshot.info
        yield _gauge(
            "build_info",
            "1; version and backend as labels.",
            [((info.version, info.backend), 1)],
            ("version", "backend"),
        )
        yield _gauge("healthy", "Whether the pipeline is live (docs/service.md).", int(self._service.verdict.healthy))
        yield _gauge(
            "ready", "Whether a frame was processed or every camera's state is known.", int(self._service.ready)
        )
        yield _gauge("mqtt_connected", "Whether the broker is connected.", int(snapshot.connected))
        depths = {(name,): depth() for name, depth in self._queues.items()}
        yield _gauge("queue_frames", "Frames or results waiting in a queue.", depths.items(), ("queue",))
        on_disk = int(snapshot.outbox_problem is None)
        yield _gauge("outbox_on_disk", "Whether events wait on disk; 0: in memory only.", on_disk)
        if (outbox := self._outbox()) is not None:
            yield _gauge("outbox_messages", "Events in the outbox.", outbox.waiting)
            age = 3600 * (outbox.oldest or 0.0)
            yield _gauge(
                "outbox_oldest_seconds",
                "Age of the oldest event in the outbox, in time of running.",
                age,
            )
            dropped = CounterMetricFamily(
                "ospreyd_outbox_dropped",
                "Messages dropped because of max_mb, max_age_hours or the broker's size limit.",
            )
            dropped.add_metric((), outbox.dropped)
            yield dropped
        lost = CounterMetricFamily("ospreyd_log_lines_lost", "Lines that could not be written to the log.")
        lost.add_metric((), lost_lines())
        yield lost
        yield _gauge("threads", "Threads of the process, including those of libraries.", _threads())


def registry_of(metrics: DaemonMetrics) -> CollectorRegistry:
    """The metrics plus Prometheus' process metrics: CPU time, memory, file descriptors."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(metrics)
    ProcessCollector(registry=registry)
    return registry


def _threads() -> int:
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.is_dir() else threading.active_count()


def _counts(snapshot: StatusSnapshot) -> Iterator[Metric]:
    for of_daemon in DaemonCount:
        family = CounterMetricFamily(f"ospreyd_{of_daemon.value[0]}", of_daemon.value[1])
        family.add_metric((), snapshot.totals[of_daemon])
        yield family
    for of_camera in CameraCount:
        family = CounterMetricFamily(f"ospreyd_{of_camera.value[0]}", of_camera.value[1], labels=("camera",))
        for camera, totals in snapshot.totals.cameras.items():
            family.add_metric((camera,), totals[of_camera])
        yield family


def _cameras(snapshot: StatusSnapshot) -> Iterator[Metric]:
    totals = snapshot.totals.cameras
    dropped = CounterMetricFamily("ospreyd_frames_dropped", "Frames dropped, by reason.", labels=("camera", "reason"))
    for camera, counts in totals.items():
        for reason in Drop:
            dropped.add_metric((camera, reason.value), counts.dropped.get(reason, 0))
    yield dropped
    states = {
        (name, state.value): int(name in snapshot.cameras and snapshot.cameras[name].state is state)
        for name in totals
        for state in CameraState
    }
    yield _gauge("camera_state", "1 for the current state of the camera, else 0.", states.items(), ("camera", "state"))


def _objects(snapshot: StatusSnapshot) -> Iterator[Metric]:
    """Of cameras that are tracked."""
    counts = {camera: of.objects for camera, of in snapshot.totals.cameras.items() if of.objects is not None}
    states = {
        (camera, state): number
        for camera, of in counts.items()
        for state, number in (("tracked", of.tracked), ("lost", of.lost), ("stationary", of.stationary))
    }
    about = "Objects of the camera that have not left; of them those not in the last frame, and those that stand."
    yield _gauge("objects", about, states.items(), ("camera", "state"))
    refused = CounterMetricFamily(
        "ospreyd_objects_refused",
        "Detections that would have begun an object beyond `max_objects`.",
        labels=("camera",),
    )
    for camera, of in counts.items():
        refused.add_metric((camera,), of.refused)
    yield refused


def _latencies(snapshot: StatusSnapshot) -> Iterator[Metric]:
    family = HistogramMetricFamily(
        "ospreyd_latency_seconds",
        "Latency of a frame in a stage; total: from capture until its message is written to the connection; "
        "acknowledged: of an event, from the capture of its frame until the broker acknowledges it.",
        labels=("stage",),
    )
    for stage, histogram in snapshot.totals.latency.items():
        bounds = [*(str(bound) for bound in BUCKETS), "+Inf"]
        family.add_metric((stage,), list(zip(bounds, accumulate(histogram.counts), strict=True)), histogram.total)
    yield family


def _models(snapshot: StatusSnapshot) -> Iterator[Metric]:
    models = snapshot.info.models
    states = {(n, s.value): int(model.status.state is s) for n, model in models.items() for s in ModelState}
    yield _gauge("model_state", "1 for the current state of the model, else 0.", states.items(), ("model", "state"))
    builds = CounterMetricFamily(
        "ospreyd_engine_builds", "Finished engine builds, by outcome.", labels=("model", "outcome")
    )
    for name in models:
        for outcome in ("built", "failed"):
            builds.add_metric((name, outcome), snapshot.builds.get((name, outcome), 0))
    yield builds


def _gpus() -> Iterator[Metric]:
    gpus = {(gpu.name,): gpu for gpu in read_gpus()}
    for name, value, meaning in _GPU:
        known = [(labels, number) for labels, gpu in gpus.items() if (number := value(gpu)) is not None]
        yield _gauge(f"gpu_{name}", meaning, known, ("gpu",))


def _gauge(
    name: str, meaning: str, values: float | Iterable[tuple[tuple[str, ...], float]], labels: tuple[str, ...] = ()
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"ospreyd_{name}", meaning, labels=labels)
    for key, value in [((), values)] if isinstance(values, (int, float)) else values:
        family.add_metric(key, value)
    return family

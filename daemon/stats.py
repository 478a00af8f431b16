"""Counts and latencies of the running daemon, written by every stage and read by the publisher."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict, deque

import numpy as np

from daemon.records import CameraStats, DaemonStats, Drop, Percentiles

_WINDOW = 2048  # samples kept for each camera and stage between two reports: bounds memory, not accuracy


class Stats:
    """Thread-safe; every method is short enough for the frame path."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._started = self._reported = time.monotonic()
        self._connections: Counter[str] = Counter()
        self._captured: Counter[str] = Counter()
        self._processed: Counter[str] = Counter()
        self._published: Counter[str] = Counter()
        self._dropped: dict[str, Counter[Drop]] = defaultdict(Counter)
        self._recent: Counter[str] = Counter()
        self._latency: dict[tuple[str, str], deque[float]] = defaultdict(lambda: deque(maxlen=_WINDOW))
        self._batches = 0

    def connected(self, camera: str) -> None:
        with self._lock:
            self._connections[camera] += 1

    def captured(self, camera: str) -> None:
        with self._lock:
            self._captured[camera] += 1

    def dropped(self, camera: str, reason: Drop) -> None:
        with self._lock:
            self._dropped[camera][reason] += 1

    def batch(self) -> None:
        with self._lock:
            self._batches += 1

    def processed(self, camera: str, **latency: float) -> None:
        """Counts a frame that went through its model; `latency` is seconds by stage."""
        with self._lock:
            self._processed[camera] += 1
            self._recent[camera] += 1
            for stage, seconds in latency.items():
                self._latency[camera, stage].append(seconds)

    def published(self, camera: str, total: float) -> None:
        """Counts a frame message given to MQTT, `total` seconds after its capture."""
        with self._lock:
            self._published[camera] += 1
            self._latency[camera, "total"].append(total)

    def forget(self, camera: str) -> None:
        """The camera is gone; one of the same name begins anew."""
        with self._lock:
            for counts in (self._connections, self._captured, self._processed, self._published, self._recent):
                counts.pop(camera, None)
            self._dropped.pop(camera, None)
            for key in [key for key in self._latency if key[0] == camera]:
                del self._latency[key]

    def report(self, cameras: tuple[str, ...]) -> DaemonStats:
        """Totals so far, and rates and percentiles since the last report, which this call ends."""
        now = time.monotonic()
        with self._lock:
            latency, self._latency = self._latency, defaultdict(lambda: deque(maxlen=_WINDOW))
            recent, self._recent = self._recent, Counter()
            batches, self._batches = self._batches, 0
            elapsed, self._reported = max(now - self._reported, 1e-9), now
            counts = {
                name: (
                    self._connections[name],
                    self._captured[name],
                    self._processed[name],
                    self._published[name],
                    dict(self._dropped[name]),
                )
                for name in cameras
            }
        by_stage: dict[str, list[float]] = defaultdict(list)
        by_camera: dict[str, dict[str, Percentiles]] = defaultdict(dict)
        for (camera, stage), samples in latency.items():
            by_stage[stage].extend(samples)
            by_camera[camera][stage] = _percentiles(samples)
        return DaemonStats(
            uptime=now - self._started,
            cameras={
                name: CameraStats(*totals, fps=recent[name] / elapsed, latency=by_camera[name])
                for name, totals in counts.items()
            },
            latency={stage: _percentiles(samples) for stage, samples in by_stage.items()},
            batch=sum(recent.values()) / batches if batches else 0.0,
        )


def _percentiles(seconds: deque[float] | list[float]) -> Percentiles:
    p50, p95, p99 = (float(v) for v in np.percentile(np.asarray(seconds) * 1000.0, (50, 95, 99)))
    return Percentiles(p50, p95, p99)

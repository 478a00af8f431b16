"""Counts and latencies of the running daemon, written by every stage, read by the publisher and by its observers."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from daemon.records import CameraStats, DaemonStats, Drop, Percentiles

_WINDOW = 2048  # samples kept for each camera and stage between two reports: bounds memory, not accuracy
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""upper bounds of the latencies that are counted together, seconds; longer ones are counted after the last"""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Latencies of one stage since the daemon started."""

    counts: tuple[int, ...]
    """frames in each of BUCKETS, and one more for those beyond"""
    total: float
    """of all of them, seconds"""


@dataclass(frozen=True, slots=True)
class CameraTotals:
    """Of one camera since the daemon started."""

    connections: int
    """how often its source was opened; all but the first are reconnects"""
    captured: int
    processed: int
    published: int
    thinned: int
    """results that `mqtt.every` left out"""
    dropped: Mapping[Drop, int]


@dataclass(frozen=True, slots=True)
class Totals:
    """What has been counted since the daemon started."""

    cameras: Mapping[str, CameraTotals]
    latency: Mapping[str, Histogram]
    """by stage: queue, preprocess, detector, postprocess, total, and of events acknowledged"""
    batches: int
    network_full: int
    """attempts to publish while the network had no room"""
    too_large: int
    """messages that the broker does not take because of their size"""
    handed: int
    """results that the publishing thread is done with, whatever became of them"""


class _Latencies:
    """Counts latencies of one stage."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds


class Stats:
    """Thread-safe; every method is short enough for the frame path."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._started = self._reported = time.monotonic()
        self._connections: Counter[str] = Counter()
        self._captured: Counter[str] = Counter()
        self._processed: Counter[str] = Counter()
        self._published: Counter[str] = Counter()
        self._thinned: Counter[str] = Counter()
        self._dropped: dict[str, Counter[Drop]] = defaultdict(Counter)
        self._recent: Counter[str] = Counter()
        self._latency: dict[tuple[str, str], deque[float]] = defaultdict(lambda: deque(maxlen=_WINDOW))
        self._histograms: dict[str, _Latencies] = defaultdict(_Latencies)
        self._batches = self._batches_reported = 0
        self._network_full = 0
        self._too_large = 0
        self._handed = 0

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
                self._histograms[stage].add(seconds)

    def published(self, frames: Iterable[tuple[str, float]]) -> None:
        """Counts frames of these cameras, whose messages were written so many seconds after the capture."""
        with self._lock:
            for camera, total in frames:
                self._published[camera] += 1
                self._latency[camera, "total"].append(total)
                self._histograms["total"].add(total)

    def handed(self, results: int) -> None:
        """Counts results that the publishing thread is done with."""
        with self._lock:
            self._handed += results

    def acknowledged(self, seconds: float) -> None:
        """Counts an event that the broker has, so long after what it tells was captured."""
        with self._lock:
            self._histograms["acknowledged"].add(seconds)

    def thinned(self, camera: str) -> None:
        """Counts a result that is not wanted on MQTT."""
        with self._lock:
            self._thinned[camera] += 1

    def network_full(self) -> None:
        """Counts an attempt to publish while the network had no room."""
        with self._lock:
            self._network_full += 1

    def too_large(self) -> None:
        """Counts a message that the broker does not take because of its size."""
        with self._lock:
            self._too_large += 1

    def totals(self, cameras: Iterable[str]) -> Totals:
        """What has been counted so far."""
        with self._lock:
            return Totals(
                cameras={name: self._totals(name) for name in cameras},
                latency={s: Histogram(tuple(found.counts), found.total) for s, found in self._histograms.items()},
                batches=self._batches,
                network_full=self._network_full,
                too_large=self._too_large,
                handed=self._handed,
            )

    def forget(self, camera: str) -> None:
        """The camera is gone; one of the same name begins anew."""
        with self._lock:
            for counts in (
                self._connections,
                self._captured,
                self._processed,
                self._published,
                self._thinned,
                self._recent,
            ):
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
            batches, self._batches_reported = self._batches - self._batches_reported, self._batches
            elapsed, self._reported = max(now - self._reported, 1e-9), now
            counts = {name: self._totals(name) for name in cameras}
        by_stage: dict[str, list[float]] = defaultdict(list)
        by_camera: dict[str, dict[str, Percentiles]] = defaultdict(dict)
        for (camera, stage), samples in latency.items():
            by_stage[stage].extend(samples)
            by_camera[camera][stage] = _percentiles(samples)
        return DaemonStats(
            uptime=now - self._started,
            cameras={
                name: CameraStats(
                    connections=totals.connections,
                    captured=totals.captured,
                    processed=totals.processed,
                    published=totals.published,
                    dropped=totals.dropped,
                    fps=recent[name] / elapsed,
                    latency=by_camera[name],
                )
                for name, totals in counts.items()
            },
            latency={stage: _percentiles(samples) for stage, samples in by_stage.items()},
            batch=sum(recent.values()) / batches if batches else 0.0,
        )

    def _totals(self, name: str) -> CameraTotals:
        """With the lock."""
        return CameraTotals(
            connections=self._connections[name],
            captured=self._captured[name],
            processed=self._processed[name],
            published=self._published[name],
            thinned=self._thinned[name],
            dropped=dict(self._dropped[name]),
        )


def _percentiles(seconds: deque[float] | list[float]) -> Percentiles:
    p50, p95, p99 = (float(v) for v in np.percentile(np.asarray(seconds) * 1000.0, (50, 95, 99)))
    return Percentiles(p50, p95, p99)

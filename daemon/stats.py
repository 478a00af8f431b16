"""Counters and latencies of the running daemon, written by every stage, read by publisher, metrics and watchdog."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import Counter, defaultdict, deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import islice

import numpy as np

from daemon.records import CameraStats, DaemonStats, Drop, Percentiles
from daemon.records.followed import ObjectCounts

_WINDOW = 2048  # samples kept for each camera and stage between two reports: bounds memory, not accuracy
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""upper bounds of the latency buckets, seconds; a last bucket holds longer ones"""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Latencies of one stage since the daemon started."""

    counts: tuple[int, ...]
    """frames in each of BUCKETS, and one more for those beyond"""
    total: float
    """of all of them, seconds"""


class CameraCount(Enum):
    """Counters of each camera: the metric's name without prefix and suffix, and its help text.

    To add one, add a member here and call `Stats.count` with it: the metric follows from the member.
    """

    CONNECTIONS = ("camera_connections", "Connections to a camera's source; all but the first are reconnects.")
    CAPTURED = ("frames_captured", "Frames captured, after the rate limit `fps`.")
    PROCESSED = ("frames_processed", "Frames processed by their model.")
    PUBLISHED = ("frames_published", "Frames whose message was written to the MQTT connection.")
    HANDED_ON = ("frames_handed_on", "Frames whose results publishing was given.")
    SKIPPED = ("frames_skipped", "Frames not published because of `mqtt.every`.")

    __hash__ = object.__hash__  # members are unique; Enum's own is a Python function, a quarter of counting a frame


class DaemonCount(Enum):
    """Counters of the whole daemon, as `CameraCount`."""

    BATCHES = ("batches", "Batches submitted to a model.")
    SHARD_FAILURES = ("shard_failures", "Processes of shards that ended and were started again.")
    NETWORK_FULL = ("mqtt_network_full", "Attempts to publish while the send buffer was full.")
    TOO_LARGE = ("mqtt_too_large", "Messages larger than the broker's maximum packet size.")
    RESULTS_ANALYSED = ("results_analysed", "Results that analysis has finished.")
    RESULTS_FORMATTED = ("results_formatted", "Results that `mqtt.formats` have finished.")
    RESULTS_FINISHED = ("results_finished", "Results that publishing has sent or dropped.")


@dataclass(frozen=True, slots=True)
class CameraTotals:
    """Counters of one camera since the daemon started."""

    counts: Mapping[CameraCount, int]
    """counters that are 0 may be missing"""
    dropped: Mapping[Drop, int]
    objects: ObjectCounts | None
    """None where the camera is not tracked"""

    def __getitem__(self, what: CameraCount) -> int:
        return self.counts.get(what, 0)


@dataclass(frozen=True, slots=True)
class Totals:
    """Counters of the daemon since it started."""

    cameras: Mapping[str, CameraTotals]
    latency: Mapping[str, Histogram]
    """by stage: queue, preprocess, detector, postprocess, tracking, total, and of events acknowledged"""
    counts: Mapping[DaemonCount, int]
    """counters that are 0 may be missing"""

    def __getitem__(self, what: DaemonCount) -> int:
        return self.counts.get(what, 0)


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted in another process since it was taken there last."""

    cameras: Mapping[str, Mapping[CameraCount, int]]
    dropped: Mapping[str, Mapping[Drop, int]]
    objects: Mapping[str, ObjectCounts | None]
    """of cameras where they may have changed"""
    counts: Mapping[DaemonCount, int]
    latency: Mapping[tuple[str, str], tuple[float, ...]]
    """by camera and stage, seconds"""


class _Latencies:
    """Counts latencies of one stage."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds


class _Samples:
    """The latest latencies of one stage of one camera, seconds, and how many there ever were."""

    def __init__(self) -> None:
        self.latest: deque[float] = deque(maxlen=_WINDOW)
        self.count = 0

    def add(self, seconds: float) -> None:
        self.latest.append(seconds)
        self.count += 1


class Reader:
    """One who is given reports: each covers the time since its own last one. For one thread."""

    def __init__(self, since: float | None = None) -> None:
        """`since`: time.monotonic() from which the first one is; default: now."""
        self.reported = time.monotonic() if since is None else since
        self.processed: Mapping[str, int] = {}
        """frames of each camera that it was told of"""
        self.samples: Mapping[_Samples, int] = {}
        """latencies that it was told of"""
        self.batches = 0


class Stats:
    """Thread-safe; every method is short enough for the frame path."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._clear()

    def _clear(self) -> None:
        self._cameras: dict[str, Counter[CameraCount]] = defaultdict(Counter)
        self._dropped: dict[str, Counter[Drop]] = defaultdict(Counter)
        self._objects: dict[str, ObjectCounts | None] = {}
        self._counts: Counter[DaemonCount] = Counter()
        self._latency: dict[tuple[str, str], _Samples] = defaultdict(_Samples)
        self._histograms: dict[str, _Latencies] = defaultdict(_Latencies)

    def count(self, what: CameraCount, camera: str) -> None:
        """Adds one for a camera."""
        with self._lock:
            self._cameras[camera][what] += 1

    def count_daemon(self, what: DaemonCount, times: int = 1) -> None:
        """Adds `times` for the daemon as a whole."""
        with self._lock:
            self._counts[what] += times

    def dropped(self, camera: str, reason: Drop) -> None:
        """Counts a frame that was dropped."""
        with self._lock:
            self._dropped[camera][reason] += 1

    def processed(self, camera: str, **latency: float) -> None:
        """Counts a frame that went through its model; `latency` is seconds by stage."""
        with self._lock:
            self._cameras[camera][CameraCount.PROCESSED] += 1
            for stage, seconds in latency.items():
                self._latency[camera, stage].add(seconds)
                self._histograms[stage].add(seconds)

    def tracked(self, camera: str, objects: ObjectCounts, seconds: float) -> None:
        """Takes the objects of a camera after a frame, which took so many seconds to track."""
        with self._lock:
            self._objects[camera] = objects
            self._latency[camera, "tracking"].add(seconds)
            self._histograms["tracking"].add(seconds)

    def untracked(self, camera: str) -> None:
        """The camera is not tracked, or not any more."""
        with self._lock:
            self._objects[camera] = None

    def published(self, frames: Iterable[tuple[str, float]]) -> None:
        """Counts frames of these cameras, whose messages were written so many seconds after the capture."""
        with self._lock:
            for camera, total in frames:
                self._cameras[camera][CameraCount.PUBLISHED] += 1
                self._latency[camera, "total"].add(total)
                self._histograms["total"].add(total)

    def acknowledged(self, seconds: float) -> None:
        """Counts an event that the broker has acknowledged, so many seconds after the capture of its frame."""
        with self._lock:
            self._histograms["acknowledged"].add(seconds)

    def totals(self, cameras: Iterable[str]) -> Totals:
        """The counters so far."""
        with self._lock:
            return Totals(
                cameras={name: self._totals(name) for name in cameras},
                latency={s: Histogram(tuple(found.counts), found.total) for s, found in self._histograms.items()},
                counts=dict(self._counts),
            )

    def take(self) -> Counted:
        """What was counted since the last time, for `add` in another process; here it restarts at 0."""
        with self._lock:
            latency = {key: tuple(one.latest) for key, one in self._latency.items()}
            counted = Counted(dict(self._cameras), dict(self._dropped), self._objects, self._counts, latency)
            self._clear()
        return counted

    def add(self, counted: Counted, cameras: Collection[str]) -> None:
        """Adds what another process has counted; of these cameras alone, so that no removed one comes back."""
        with self._lock:
            for camera in counted.cameras.keys() & cameras:
                self._cameras[camera].update(counted.cameras[camera])
            for camera in counted.dropped.keys() & cameras:
                self._dropped[camera].update(counted.dropped[camera])
            self._objects |= {name: found for name, found in counted.objects.items() if name in cameras}
            self._counts.update(counted.counts)
            for (camera, stage), seconds in counted.latency.items():
                for one in seconds if camera in cameras else ():
                    self._latency[camera, stage].add(one)
                    self._histograms[stage].add(one)

    def forget(self, camera: str) -> None:
        """Resets the counters of a removed camera."""
        with self._lock:
            for counts in (self._cameras, self._dropped):
                counts.pop(camera, None)
            self._objects.pop(camera, None)
            for key in [key for key in self._latency if key[0] == camera]:
                del self._latency[key]

    def report(self, cameras: tuple[str, ...], reader: Reader | None = None) -> DaemonStats:
        """Totals so far, and rates and percentiles since the reader's last report; None: since the start."""
        now, reader = time.monotonic(), reader or Reader(self._started)
        elapsed, reader.reported = max(now - reader.reported, 1e-9), now
        with self._lock:
            latency = {key: list(new) for key, one in self._latency.items() if (new := _new(one, reader.samples))}
            reader.samples = {one: one.count for one in self._latency.values()}
            total = self._counts[DaemonCount.BATCHES]
            batches, reader.batches = total - reader.batches, total
            counts = {name: self._totals(name) for name in cameras}
        processed = {name: totals[CameraCount.PROCESSED] for name, totals in counts.items()}
        known, reader.processed = reader.processed, processed
        # a camera that was removed and has come back counts from 0
        recent = {
            name: count - (before if (before := known.get(name, 0)) <= count else 0)
            for name, count in processed.items()
        }
        by_stage: dict[str, list[float]] = defaultdict(list)
        by_camera: dict[str, dict[str, Percentiles]] = defaultdict(dict)
        for (camera, stage), samples in latency.items():
            by_stage[stage].extend(samples)
            by_camera[camera][stage] = _percentiles(samples)
        return DaemonStats(
            uptime=now - self._started,
            cameras={
                name: CameraStats(
                    connections=totals[CameraCount.CONNECTIONS],
                    captured=totals[CameraCount.CAPTURED],
                    processed=totals[CameraCount.PROCESSED],
                    published=totals[CameraCount.PUBLISHED],
                    dropped=totals.dropped,
                    fps=recent[name] / elapsed,
                    latency=by_camera[name],
                    objects=totals.objects,
                )
                for name, totals in counts.items()
            },
            latency={stage: _percentiles(samples) for stage, samples in by_stage.items()},
            batch=sum(recent.values()) / batches if batches else 0.0,
        )

    def _totals(self, name: str) -> CameraTotals:
        """Called with the lock held."""
        return CameraTotals(
            dict(self._cameras.get(name, {})), dict(self._dropped.get(name, {})), self._objects.get(name)
        )


def _new(samples: _Samples, told: Mapping[_Samples, int]) -> Iterable[float]:
    """Those that a reader was not told of, as far as they are kept."""
    count = min(samples.count - told.get(samples, 0), len(samples.latest))
    return islice(samples.latest, len(samples.latest) - count, None) if count else ()


def _percentiles(seconds: list[float]) -> Percentiles:
    p50, p95, p99 = (float(v) for v in np.percentile(np.asarray(seconds) * 1000.0, (50, 95, 99)))
    return Percentiles(p50, p95, p99)

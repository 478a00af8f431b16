"""How every camera has done in the last hour, from the counters that there are."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from daemon.records import CameraState, CameraStatus
from daemon.records.wire import rfc3339
from daemon.stats import Reader, Stats

EVERY = 10.0  # seconds between two points
_POINTS = 360


@dataclass(frozen=True, slots=True)
class _Point:
    """One camera in the seconds before a moment."""

    time: float
    """UTC, seconds since the epoch"""
    state: CameraState | None
    fps: float
    p50: float | None
    """from capture to the message being written, milliseconds; None where none was written"""
    p95: float | None
    dropped: Mapping[str, int]
    """by reason; those that are 0 are missing"""


class LastHour:
    """For one thread."""

    def __init__(self, stats: Stats) -> None:
        self._stats = stats
        self._reader = Reader()
        self._dropped: dict[str, dict[str, int]] = {}
        """since the start, by camera and reason"""
        self._points: dict[str, deque[_Point]] = {}

    def add(self, cameras: Mapping[str, CameraStatus | None]) -> None:
        """Adds a point for each of these cameras and forgets the others."""
        report, now = self._stats.report(tuple(cameras), self._reader), time.time()
        self._points = {name: self._points.get(name) or deque(maxlen=_POINTS) for name in cameras}
        before, self._dropped = self._dropped, {}
        for name, status in cameras.items():
            camera = report.cameras[name]
            total = camera.latency.get("total")
            dropped = {reason.value: count for reason, count in camera.dropped.items()}
            self._dropped[name] = dropped
            known = before.get(name, {})
            point = _Point(
                now,
                None if status is None else status.state,
                round(camera.fps, 2),
                None if total is None else round(total.p50, 1),
                None if total is None else round(total.p95, 1),
                {reason: more for reason, count in dropped.items() if (more := count - known.get(reason, 0)) > 0},
            )
            self._points[name].append(point)

    def points(self, camera: str) -> list[dict[str, object]]:
        """Fit for JSON, oldest first."""
        return [
            {
                "time": rfc3339(point.time),
                "state": point.state,
                "fps": point.fps,
                "p50_ms": point.p50,
                "p95_ms": point.p95,
                "dropped": point.dropped,
            }
            for point in self._points.get(camera, ())
        ]

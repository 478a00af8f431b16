"""How every camera has done in the last hour, from the counters that there are."""

from __future__ import annotations

import math
import struct
import time
from collections import deque
from collections.abc import Iterator, Mapping

from daemon.records import CameraState, CameraStats, CameraStatus, Drop
from daemon.records.wire import rfc3339
from daemon.stats import Reader, Stats

EVERY = 10.0  # seconds between two points
_POINTS = 360
_STATES = (None, *CameraState)
_PACKED = struct.Struct(f"<B3f{len(Drop)}I")  # state, frames a second, p50 and p95 in milliseconds, drops by reason
_TIMES = struct.Struct("<H")  # how many points in a row are this one


class LastHour:
    """For one thread."""

    def __init__(self, stats: Stats) -> None:
        self._stats = stats
        self._reader = Reader()
        self._times: deque[float] = deque(maxlen=_POINTS)
        """of the points of every camera, UTC, seconds since the epoch, oldest first"""
        self._cameras: dict[str, _Camera] = {}

    def add(self, cameras: Mapping[str, CameraStatus | None]) -> None:
        """Adds a point for each of these cameras and forgets the others."""
        report = self._stats.report(tuple(cameras), self._reader)
        self._times.append(time.time())
        self._cameras = {name: self._cameras.get(name) or _Camera() for name in cameras}
        for name, status in cameras.items():
            self._cameras[name].add(None if status is None else status.state, report.cameras[name])

    def points(self, camera: str) -> list[dict[str, object]]:
        """Fit for JSON, oldest first."""
        points = list(self._cameras[camera].points()) if camera in self._cameras else []
        times = list(self._times)[len(self._times) - len(points) :]
        return [{"time": rfc3339(moment), **point} for moment, point in zip(times, points, strict=True)]


class _Camera:
    """Points of one camera, packed: there may be thousands of cameras, and most of them are always the same."""

    def __init__(self) -> None:
        self._runs = bytearray()
        """oldest first, each a count and a point"""
        self._count = 0
        """points"""
        self._dropped = [0] * len(Drop)
        """since the start, by reason"""

    def add(self, state: CameraState | None, stats: CameraStats) -> None:
        dropped = [stats.dropped.get(reason, 0) for reason in Drop]
        more = [max(0, now - before) for now, before in zip(dropped, self._dropped, strict=True)]
        self._dropped = dropped
        total = stats.latency.get("total")
        p50, p95 = (math.nan, math.nan) if total is None else (total.p50, total.p95)
        self._append(_PACKED.pack(_STATES.index(state), stats.fps, p50, p95, *more))
        if self._count > _POINTS:
            self._forget_oldest()

    def points(self) -> Iterator[dict[str, object]]:
        for start in range(0, len(self._runs), _TIMES.size + _PACKED.size):
            state, fps, p50, p95, *dropped = _PACKED.unpack_from(self._runs, start + _TIMES.size)
            point = {
                "state": _STATES[state],
                "fps": round(fps, 2),
                "p50_ms": None if math.isnan(p50) else round(p50, 1),
                "p95_ms": None if math.isnan(p95) else round(p95, 1),
                "dropped": {reason.value: count for reason, count in zip(Drop, dropped, strict=True) if count},
            }
            for _ in range(_TIMES.unpack_from(self._runs, start)[0]):
                yield point

    def _append(self, point: bytes) -> None:
        self._count += 1
        if self._runs.endswith(point):
            start = len(self._runs) - len(point) - _TIMES.size
            _TIMES.pack_into(self._runs, start, _TIMES.unpack_from(self._runs, start)[0] + 1)
        else:
            self._runs += _TIMES.pack(1) + point

    def _forget_oldest(self) -> None:
        self._count -= 1
        times = _TIMES.unpack_from(self._runs, 0)[0] - 1
        if times:
            _TIMES.pack_into(self._runs, 0, times)
        else:
            del self._runs[: _TIMES.size + _PACKED.size]

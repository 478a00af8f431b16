"""What counting costs on the frame path: `python -m tests.benchmarks.metrics_cost` prints microseconds a frame.

One frame is counted as captured, processed with four stages and published, as the stages do it; every eighth is
replaced too. Beside it: how long one scrape takes, during which a stage that counts may have to wait.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import replace

from prometheus_client import generate_latest

from daemon.config.camera import Camera
from daemon.config.schema import Config
from daemon.records import Drop
from daemon.service.metrics import DaemonMetrics, registry_of
from daemon.service.status import StatusRegistry
from daemon.service.watchdog import Watchdog
from daemon.stats import CameraCount, Stats
from tests.daemon.publishing import INFO

_FRAMES = 50_000
_ROUNDS = 5


def frame_cost(frames: int = _FRAMES, rounds: int = _ROUNDS) -> float:
    """CPU time of a frame in microseconds, the best of so many rounds."""
    best = float("inf")
    for _ in range(rounds):
        stats, began = Stats(), time.thread_time()
        for number in range(frames):
            camera = f"cam{number % 16}"
            stats.count(CameraCount.CAPTURED, camera)
            if number % 8 == 0:
                stats.dropped(camera, Drop.REPLACED)
            stats.processed(camera, queue=0.004, preprocess=0.001, detector=0.02, postprocess=0.0005)
            stats.published([(camera, 0.03)])
        best = min(best, (time.thread_time() - began) / frames * 1e6)
    return best


def bare_cost(frames: int = _FRAMES, rounds: int = _ROUNDS) -> float:
    """As `frame_cost`, of the least that counting needs: a lock and a dictionary for each of eight counts."""
    best = float("inf")
    for _ in range(rounds):
        lock, counts, began = threading.Lock(), dict[tuple[str, int], int](), time.thread_time()
        for number in range(frames):
            for what in range(8):
                with lock:
                    key = f"cam{number % 16}", what
                    counts[key] = counts.get(key, 0) + 1
        best = min(best, (time.thread_time() - began) / frames * 1e6)
    return best


def scrape_cost(cameras: int) -> dict[str, float]:
    """Milliseconds of one scrape with so many cameras, and of the part in which counting waits."""
    stats = Stats()
    names = [f"cam{number}" for number in range(cameras)]
    sources = {name: Camera(source="rtsp://a/1") for name in names}
    config = Config.model_validate({"device": "box", "mqtt": {"host": "localhost"}, "cameras": sources})
    for name in names:
        stats.count(CameraCount.CAPTURED, name)
        stats.processed(name, queue=0.004, detector=0.02)
    status = StatusRegistry(config, replace(INFO, models={}, cameras=()), stats, lambda: True)
    registry = registry_of(DaemonMetrics(status, Watchdog(status, _raise), {}))
    generate_latest(registry)
    began = time.perf_counter()
    generate_latest(registry)
    scraped = time.perf_counter()
    stats.totals(names)
    return {
        "scrape_ms": round((scraped - began) * 1e3, 2),
        "locked_ms": round((time.perf_counter() - scraped) * 1e3, 3),
    }


def _raise(error: BaseException) -> None:
    raise error


if __name__ == "__main__":
    json.dump(
        {"frame_us": round(frame_cost(), 2), "bare_us": round(bare_cost(), 2), **scrape_cost(16)}, sys.stdout, indent=2
    )
    print()

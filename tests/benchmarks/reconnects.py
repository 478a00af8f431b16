"""Memory, threads and descriptors after many reconnects of one camera.

`python -m tests.benchmarks.reconnects --times 1000` connects to an MJPEG server that hangs up after each few frames,
and to an address where nobody listens, in turns of `--times` each; exits with 1 if anything is left behind.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from unittest.mock import patch

import cv2

from daemon.capture.camera import CameraThread
from daemon.config.camera import Camera
from daemon.stats import Stats
from daemon.system.backoff import Backoff
from tests.daemon.capturing import pictures
from tests.servers.mjpeg import MjpegServer

WARM_UP = 100  # reconnects before the first measurement: libraries and allocators get what they will keep
MAY_GROW = 5.0  # MB


@dataclass(frozen=True, slots=True)
class Held:
    """What the process holds."""

    memory: float
    """resident, MB"""
    threads: int
    descriptors: int


class Counting(Backoff):
    """Waits a moment, and counts how often there was something to wait for."""

    def __init__(self) -> None:
        super().__init__(initial=1e-3, ceiling=1e-3)
        self.count = 0

    def next(self) -> float:
        self.count += 1
        return super().next()


def held() -> Held:
    """What this process holds now, at the least: what a connection needs comes and goes."""
    samples = [_sample() for _ in range(20)]
    return Held(
        memory=min(sample.memory for sample in samples),
        threads=min(sample.threads for sample in samples),
        descriptors=min(sample.descriptors for sample in samples),
    )


def reconnect(source: str, times: int) -> tuple[Held, Held]:
    """What is held after one camera has connected `WARM_UP` times, and after `times` more; stops it."""
    failures: list[BaseException] = []
    backoff = Counting()
    config = Camera(source=source, open_timeout=5.0, stall_after=5.0)
    with patch("daemon.capture.camera.Backoff", lambda: backoff):
        camera = CameraThread("cam", config, lambda frame: frame.release(), lambda _: None, Stats(), failures.append)
    camera.start()
    try:
        _wait_for(backoff, WARM_UP)
        before = held()
        _wait_for(backoff, WARM_UP + times)
        return before, held()
    finally:
        camera.stop()
        if not camera.join(10.0) or failures:
            raise RuntimeError(f"the camera did not stop: {failures}")


def hung_up(times: int) -> tuple[Held, Held]:
    """By a server that ends each stream after three frames."""
    jpegs = [cv2.imencode(".jpg", image)[1].tobytes() for image in pictures(3, 640, 480)]
    with MjpegServer(jpegs, fps=1000.0, ends_after=3) as server:
        return reconnect(server.url(), times)


def refused(times: int) -> tuple[Held, Held]:
    """By a port that is taken, but where nobody listens."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        return reconnect(f"rtsp://127.0.0.1:{nobody.getsockname()[1]}/x", times)


def _sample() -> Held:
    time.sleep(0.01)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    return Held(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, threading.active_count(), descriptors)


def _wait_for(backoff: Counting, count: int) -> None:
    while backoff.count < count:
        time.sleep(0.001)


def main() -> None:
    """Prints one JSON object a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=1000)
    times = parser.parse_args().times
    leaked = False
    for way in (hung_up, refused):
        began = time.monotonic()
        before, then = way(times)
        grown = round(then.memory - before.memory, 2)
        leaked |= grown > MAY_GROW or then.threads > before.threads or then.descriptors > before.descriptors
        seconds = round(time.monotonic() - began, 1)
        print(
            json.dumps(
                {
                    "way": way.__name__,
                    "reconnects": times,
                    "seconds": seconds,
                    "before": asdict(before),
                    "after": asdict(then),
                    "memory_grown_mb": grown,
                }
            ),
            flush=True,
        )
    sys.exit(leaked)


if __name__ == "__main__":
    main()

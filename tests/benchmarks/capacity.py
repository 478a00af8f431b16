"""How many cameras one process holds before it drops frames, and what a camera that is away costs.

`python -m tests.benchmarks.capacity VIDEO --seconds 10` captures more and more cameras from the file, each at the
file's own pace, until one gets less than 97 % of its frames. `--offline N` measures N cameras that nobody answers
instead.
"""

from __future__ import annotations

import argparse
import json
import resource
import socket
import sys
import time
from collections import Counter

import cv2

from daemon.capture.camera import CameraThread
from daemon.capture.hang_monitor import HangMonitor
from daemon.config.camera import Camera
from daemon.records import Frame
from daemon.stats import Stats
from tests.benchmarks.reconnects import held

_ENOUGH = 0.97  # of the frames that there are: a few more or less fall into the time that is measured
_MOST = 64


def measure(source: str, cameras: int, seconds: float, warm_up: float, loop: bool) -> dict[str, float]:
    """What `cameras` cameras of one source cost, and the frames/s of the one that got fewest."""
    frames: Counter[str] = Counter()
    failures: list[BaseException] = []

    def deliver(frame: Frame) -> None:
        frames[frame.camera] += 1
        frame.release()

    monitor, threads = HangMonitor(failures.append), []
    before = held()
    for number in range(cameras):
        config = Camera(source=source, loop=loop)
        threads.append(CameraThread(f"cam{number}", config, deliver, lambda _: None, Stats(), failures.append))
        monitor.add(threads[-1])
        threads[-1].start()
    monitor.start()
    time.sleep(warm_up)
    first, began, cpu = frames.copy(), time.monotonic(), _cpu()
    time.sleep(seconds)
    last, took, used = frames.copy(), time.monotonic() - began, _cpu() - cpu
    grown = held().memory - before.memory
    monitor.stop()
    for thread in threads:
        thread.stop()
    if not all(thread.join(15.0) for thread in threads) or failures:
        raise RuntimeError(f"cameras did not stop: {failures}")
    return {
        "cameras": cameras,
        "least_fps": round(min((last[f"cam{n}"] - first[f"cam{n}"]) / took for n in range(cameras)), 2),
        "cpu_percent_of_a_core": round(100 * used / took, 2),
        "memory_mb": round(grown, 1),
    }


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _say(result: dict[str, float]) -> None:
    sys.stdout.write(json.dumps(result) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Prints one JSON object a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--offline", type=int, default=0)
    options = parser.parse_args()
    if options.offline:
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            url = f"rtsp://127.0.0.1:{nobody.getsockname()[1]}/x"
            _say(measure(url, options.offline, options.seconds, 40.0, loop=False))
        return
    capture = cv2.VideoCapture(options.video, cv2.CAP_FFMPEG)
    fps = capture.get(cv2.CAP_PROP_FPS)
    capture.release()
    for cameras in range(1, _MOST):
        result = measure(options.video, cameras, options.seconds, 5.0, loop=True)
        _say(result)
        if result["least_fps"] < fps * _ENOUGH:
            return


if __name__ == "__main__":
    main()

"""How much cameras that hang delay one that does not, and how long stopping them all takes.

`python -m tests.benchmarks.isolation --seconds 10 --cameras 4` prints, for each way to hang, by how much a frame of
a 25 frames/s camera was late. As root, with util-linux and iproute2, `unshare --mount --net` before it adds a name
server that never answers.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from daemon.capture.camera import CameraThread
from daemon.capture.hang_monitor import HangMonitor
from daemon.config.camera import Camera
from daemon.records import CameraStatus, Frame
from daemon.stats import Stats
from tests.daemon.capturing import pictures, write_video

_PERIOD = 0.04  # seconds between two frames of the camera that does not hang


def measure(source: str | None, video: Path, cameras: int, seconds: float) -> dict[str, float | str]:
    """Lateness of the frames of `video` while `cameras` of `source` hang, milliseconds; seconds to stop them all."""
    times: list[float] = []
    states: list[CameraStatus] = []
    failures: list[BaseException] = []

    def deliver(frame: Frame) -> None:
        times.append(frame.captured_mono)
        frame.release()

    monitor = HangMonitor(failures.append)
    threads = [CameraThread("quiet", Camera(source=str(video), loop=True), deliver, lambda _: None, Stats(), print)]
    for number in range(cameras if source else 0):
        config = Camera(source=str(source), open_timeout=2.0, stall_after=2.0)
        threads.append(CameraThread(f"hung{number}", config, deliver, states.append, Stats(), failures.append))
    for thread in threads:
        monitor.add(thread)
        thread.start()
    monitor.start()
    time.sleep(seconds)
    late = (np.diff(times) - _PERIOD) * 1000
    began = time.monotonic()
    monitor.stop()
    for thread in threads:
        thread.stop()
    quiet = threads[0].join(5.0)
    took = time.monotonic() - began
    if not quiet or failures:
        raise RuntimeError(f"the camera that does not hang did not stop: {failures}")
    return {
        "p99_late_ms": round(float(np.percentile(late, 99)), 1),
        "max_late_ms": round(float(late.max()), 1),
        "stop_s": round(took, 3),
        "states": ", ".join(sorted({f"{s.state.value} {s.reason.value if s.reason else ''}".strip() for s in states})),
    }


@contextlib.contextmanager
def silent_server() -> Iterator[int]:
    """A port that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield int(server.getsockname()[1])


@contextlib.contextmanager
def silent_names(folder: Path) -> Iterator[bool]:
    """A name server that never answers; False where these are the namespaces of who called us."""
    own = [
        Path("/proc/self/ns", kind).readlink() != Path(f"/proc/{os.getppid()}/ns", kind).readlink()
        for kind in ("mnt", "net")
    ]
    if not all(own):
        yield False
        return
    resolver = folder / "resolv.conf"
    resolver.write_text("nameserver 127.0.0.1\noptions timeout:8 attempts:1\n")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["mount", "--bind", str(resolver), "/etc/resolv.conf"], check=True)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 53))
        yield True


def main() -> None:
    """Prints one JSON object a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, silent_names(Path(name)) as names, silent_server() as port:
        folder = Path(name)
        video = write_video(folder / "quiet.avi", pictures(50, 640, 360), fps=1 / _PERIOD)
        pipe = folder / "pipe.avi"
        os.mkfifo(pipe)
        ways = {
            "nothing hangs": None,
            "opening a file": str(pipe),
            "RTSP": f"rtsp://127.0.0.1:{port}/x",
            "TLS handshake": f"rtsps://127.0.0.1:{port}/x",
            "HTTP": f"http://127.0.0.1:{port}/x",
            "HTTPS handshake": f"https://127.0.0.1:{port}/x",
            **({"name look-up": "rtsp://camera.example/x"} if names else {}),
        }
        for way, source in ways.items():
            result = measure(source, video, options.cameras, options.seconds)
            print(json.dumps({"hangs": way, **result}), flush=True)


if __name__ == "__main__":
    main()

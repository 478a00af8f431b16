"""A camera whose name server takes questions and never answers: prints what becomes of it, for a test."""

from __future__ import annotations

import socket
import sys
import time

from daemon.capture.camera import CameraThread
from daemon.capture.hang_monitor import HangMonitor
from daemon.capture.sources.rtsp_probe import probe
from daemon.config.camera import Camera
from daemon.records import CameraState, CameraStatus, Reason
from daemon.stats import Stats
from tests.conftest import wait_for

URL = "rtsp://camera.example/stream"


def main() -> None:
    """The time of one probe, then the states of one camera."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 53))
        began = time.monotonic()
        _say(str(probe(URL, 1.0)))
        _say(f"{time.monotonic() - began:.2f}")
        statuses: list[CameraStatus] = []

        def report(status: CameraStatus) -> None:
            statuses.append(status)
            _say(status.state.value + (f" ({status.reason.value})" if status.reason else ""))

        failures: list[BaseException] = []
        config = Camera(source=URL, open_timeout=1.0)
        camera = CameraThread("cam", config, lambda _: None, report, Stats(), failures.append)
        monitor = HangMonitor(failures.append)
        monitor.add(camera)
        camera.start()
        monitor.start()
        wait_for(lambda: any(s.reason is Reason.UNREACHABLE for s in statuses), "the reason")
        camera.stop()
        monitor.stop()
        assert monitor.join(10)
        assert statuses[-1].state is CameraState.OFFLINE
        assert failures == []
        _say("stopped")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

"""Notices cameras that hang in a call that nothing can interrupt; one thread for all of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from daemon.capture.camera import CameraThread
from daemon.system.worker_thread import WorkerThread

_EVERY = 0.25  # seconds between two checks of every camera


class HangMonitor:
    """Checks cameras in a thread of its own: the thread of a camera that hangs cannot report it."""

    def __init__(self, on_fatal: Callable[[BaseException], None]) -> None:
        """`on_fatal` takes the exception that ends the monitor."""
        self._cameras: tuple[CameraThread, ...] = ()
        """replaced as a whole, so that it can be read while it changes"""
        self._stopping = threading.Event()
        self._thread = WorkerThread("hang-monitor", self._run, on_fatal)

    def add(self, camera: CameraThread) -> None:
        """Adds a camera to check; `add` and `remove` are for one thread at a time."""
        self._cameras += (camera,)

    def remove(self, camera: CameraThread) -> None:
        """Removes a camera."""
        self._cameras = tuple(other for other in self._cameras if other is not camera)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Asks the thread to end; returns at once."""
        self._stopping.set()

    def join(self, timeout: float) -> bool:
        """Whether the thread ends within `timeout` seconds; the receiver of a report may delay it."""
        return self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stopping.wait(_EVERY):
            now = time.monotonic()
            for camera in self._cameras:
                camera.check(now)

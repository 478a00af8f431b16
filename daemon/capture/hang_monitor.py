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

    def __init__(self, on_fatal: Callable[[BaseException], None], then: Callable[[], None] = lambda: None) -> None:
        """`on_fatal` takes the exception that ends the monitor; `then` is called after each check of all cameras."""
        self._then = then
        self._cameras: dict[CameraThread, None] = {}
        """in the order in which they were added"""
        self._changing = threading.Lock()
        """guards it"""
        self._stopping = threading.Event()
        self._thread = WorkerThread("hang-monitor", self._run, on_fatal)

    def add(self, camera: CameraThread) -> None:
        """Adds a camera to check."""
        with self._changing:
            self._cameras[camera] = None

    def remove(self, camera: CameraThread) -> None:
        """Removes a camera."""
        with self._changing:
            self._cameras.pop(camera, None)

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
            with self._changing:
                cameras = tuple(self._cameras)
            for camera in cameras:  # without the lock: the receiver of a report may wait
                camera.check(time.monotonic())
            self._then()

"""The threads of all cameras: one a name, however often a camera is opened anew while an earlier thread hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from daemon.capture.camera import CameraThread
from daemon.capture.hang_monitor import HangMonitor


class Cameras:
    """Opens and closes cameras. A camera whose last thread has not ended yet starts when it has, however long it takes.

    `open` and `close` are for one thread at a time; threads of cameras end whenever they do.
    """

    def __init__(self, on_fatal: Callable[[BaseException], None]) -> None:
        """`on_fatal` takes the exception that ends the hang monitor."""
        self._monitor = HangMonitor(on_fatal)
        self._running: dict[str, CameraThread] = {}
        """by name, the one whose thread has started and not ended"""
        self._waiting: dict[str, CameraThread] = {}
        """by name, the one to be started when the running one has ended"""
        self._changed = threading.Condition()
        """guards both"""

    def start(self) -> None:
        """Starts the hang monitor."""
        self._monitor.start()

    def open(self, camera: CameraThread) -> None:
        """Starts the camera, now or when the thread of the last one of its name has ended."""
        self._monitor.add(camera)
        if not camera.enabled:
            camera.start()
            return
        with self._changed:
            blocked = camera.name in self._running
        if blocked:  # reported without the lock: whoever takes the report may have to wait
            camera.wait_for_predecessor()
        with self._changed:
            if camera.name in self._running:
                self._waiting[camera.name] = camera
            else:
                self._start(camera)

    def close(self, camera: CameraThread) -> None:
        """Asks the camera's thread to end and returns at once; it is never started if it has not been yet."""
        self._monitor.remove(camera)
        camera.stop()
        with self._changed:
            if self._waiting.get(camera.name) is camera:
                del self._waiting[camera.name]

    def stop(self) -> None:
        """Asks every thread to end and starts none anew."""
        self._monitor.stop()
        with self._changed:
            self._waiting.clear()
            for camera in self._running.values():
                camera.stop()

    def join(self, timeout: float) -> bool:
        """Whether all threads have ended within `timeout` seconds; those that hang may not, and are left behind."""
        deadline = time.monotonic() + timeout
        with self._changed:
            ended = self._changed.wait_for(lambda: not self._running, timeout)
        return self._monitor.join(max(0.0, deadline - time.monotonic())) and ended

    def _start(self, camera: CameraThread) -> None:
        self._running[camera.name] = camera
        camera.start(self._ended)

    def _ended(self, camera: CameraThread) -> None:
        """In the camera's thread, as the last thing that it does."""
        with self._changed:
            del self._running[camera.name]
            if (successor := self._waiting.pop(camera.name, None)) is not None:
                self._start(successor)
            self._changed.notify_all()

"""Starts and stops the threads of cameras, at most one for each name, even while one hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from daemon.capture.camera import CameraThread
from daemon.capture.hang_monitor import HangMonitor


class Cameras:
    """Opens and closes cameras. If the last thread of a name has not ended yet, the next one starts when it has.

    `open` and `close` are to be called by one thread at a time.
    """

    def __init__(self, on_fatal: Callable[[BaseException], None]) -> None:
        """`on_fatal` takes the exception that ends the hang monitor."""
        self._monitor = HangMonitor(on_fatal)
        self._running: dict[str, CameraThread] = {}
        """by name; the thread has started and not ended"""
        self._waiting: dict[str, CameraThread] = {}
        """by name; started when the running one ends"""
        self._changed = threading.Condition()
        """guards both"""

    def start(self) -> None:
        """Starts the hang monitor."""
        self._monitor.start()

    def open(self, camera: CameraThread) -> None:
        """Starts the camera, now or when the last thread of its name has ended."""
        self._monitor.add(camera)
        if not camera.enabled:
            camera.start()
            return
        with self._changed:
            blocked = camera.name in self._running
        if blocked:  # without the lock: the receiver of the report may wait
            camera.wait_for_predecessor()
        with self._changed:
            if camera.name in self._running:
                self._waiting[camera.name] = camera
            else:
                self._start(camera)

    def close(self, camera: CameraThread) -> None:
        """Asks the camera's thread to end and returns at once; one that has not been started never is."""
        self._monitor.remove(camera)
        camera.stop()
        with self._changed:
            if self._waiting.get(camera.name) is camera:
                del self._waiting[camera.name]

    def stop(self) -> None:
        """Asks every thread to end; those that wait are not started."""
        self._monitor.stop()
        with self._changed:
            self._waiting.clear()
            for camera in self._running.values():
                camera.stop()

    def join(self, timeout: float) -> bool:
        """Whether all threads end within `timeout` seconds; those that hang are abandoned."""
        deadline = time.monotonic() + timeout
        with self._changed:
            ended = self._changed.wait_for(lambda: not self._running, timeout)
        return self._monitor.join(max(0.0, deadline - time.monotonic())) and ended

    def _start(self, camera: CameraThread) -> None:
        self._running[camera.name] = camera
        camera.start(self._ended)

    def _ended(self, camera: CameraThread) -> None:
        """Called last in the camera's thread."""
        with self._changed:
            del self._running[camera.name]
            if (successor := self._waiting.pop(camera.name, None)) is not None:
                self._start(successor)
            self._changed.notify_all()

"""Starts and stops the threads of cameras, at most one for each name, even while one hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from daemon.capture.camera import CameraThread
from daemon.capture.hang_monitor import HangMonitor
from daemon.capture.sources.base import SourceError
from daemon.records import Reason
from daemon.system.threads import TooFewThreadsError, require_threads

_RESERVE = 32  # threads that cameras leave to the others: models, look-ups, decoders, metrics
_BETWEEN = 16  # cameras that are started between two looks whether the reserve is still there
_RETRY = 5.0  # seconds until cameras that got no thread are tried again


class Cameras:
    """Opens and closes cameras. If the last thread of a name has not ended yet, the next one starts when it has.

    A camera that the system has no thread for is offline with that reason and tried again; the others go on.
    `open` and `close` are to be called by one thread at a time.
    """

    def __init__(self, on_fatal: Callable[[BaseException], None]) -> None:
        """`on_fatal` takes the exception that ends the hang monitor."""
        self._monitor = HangMonitor(on_fatal, self._retry)
        self._changed = threading.Condition()
        """guards what follows"""
        self._running: dict[str, CameraThread] = {}
        """by name; the thread has started and not ended"""
        self._waiting: dict[str, CameraThread] = {}
        """by name; started when the running one ends"""
        self._refused: dict[str, CameraThread] = {}
        """by name; there was no thread for it"""
        self._retry_at = 0.0
        """time.monotonic() until which no camera is started where some are refused"""
        self._unchecked = _BETWEEN
        """cameras that were started since the last look whether the reserve is still there"""

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
        refusal = None
        with self._changed:
            if camera.name in self._running:
                self._waiting[camera.name] = camera
            else:
                refusal = self._start(camera)
        if refusal is not None:
            camera.refuse(refusal)

    def close(self, camera: CameraThread) -> None:
        """Asks the camera's thread to end and returns at once; one that has not been started never is."""
        self._monitor.remove(camera)
        camera.stop()
        with self._changed:
            for unstarted in (self._waiting, self._refused):
                if unstarted.get(camera.name) is camera:
                    del unstarted[camera.name]

    def stop(self) -> None:
        """Asks every thread to end; those that wait are not started."""
        self._monitor.stop()
        with self._changed:
            self._waiting.clear()
            self._refused.clear()
            for camera in self._running.values():
                camera.stop()

    def join(self, timeout: float) -> bool:
        """Whether all threads end within `timeout` seconds; those that hang are abandoned."""
        deadline = time.monotonic() + timeout
        with self._changed:
            ended = self._changed.wait_for(lambda: not self._running, timeout)
        return self._monitor.join(max(0.0, deadline - time.monotonic())) and ended

    def _start(self, camera: CameraThread) -> SourceError | None:
        """Why there is no thread for it, where there is none; it is tried again. Needs the lock."""
        try:
            if self._refused and time.monotonic() < self._retry_at:
                raise TooFewThreadsError  # noqa: TRY301  as if it had been tried: that takes long with many cameras
            if self._unchecked >= _BETWEEN:
                require_threads(_BETWEEN + _RESERVE)
                self._unchecked = 0
            camera.start(self._ended)
        except TooFewThreadsError as error:
            self._unchecked = _BETWEEN
            if not self._refused or time.monotonic() >= self._retry_at:
                self._retry_at = time.monotonic() + _RETRY
            self._refused[camera.name] = camera
            return SourceError(Reason.NO_RESOURCES, str(error))
        self._running[camera.name] = camera
        self._unchecked += 1
        return None

    def _retry(self) -> None:
        """In the hang monitor's thread: starts what there is a thread for by now."""
        with self._changed:
            while self._refused and time.monotonic() >= self._retry_at:
                name = next(iter(self._refused))
                if self._start(self._refused.pop(name)) is not None:
                    return

    def _ended(self, camera: CameraThread) -> None:
        """Called last in the camera's thread."""
        refusal = None
        with self._changed:
            del self._running[camera.name]
            if (successor := self._waiting.pop(camera.name, None)) is not None:
                refusal = self._start(successor)
            self._changed.notify_all()
        if successor is not None and refusal is not None:
            successor.refuse(refusal)

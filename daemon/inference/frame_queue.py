"""The queue between the capture threads and the inference worker: a Batcher behind a lock."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Collection, Sequence

from daemon.inference.batcher import Batcher
from daemon.records import Batch, Drop, Frame
from daemon.stats import Stats


class FrameQueue:
    """A new live frame replaces the one before, which is counted; frames of files wait for room and for their model."""

    def __init__(self, batcher: Batcher, stats: Stats) -> None:
        self._batcher = batcher
        self._stats = stats
        self._lock = threading.Lock()
        # Two, and notified only when it matters: each thread that wakes takes the GIL from the others.
        self._room = threading.Condition(self._lock)
        self._due = threading.Condition(self._lock)
        self._wake_at = -math.inf
        """time.monotonic() until which `take` sleeps unless a batch is due earlier; in the past: it does not sleep"""
        self._full: Collection[str] = ()
        """the models that the sleeping `take` takes nothing of"""
        self._closed = False

    def ready(self, model: str, max_batch: int) -> None:
        """From now on `take` gives batches of at most `max_batch` for this model."""
        with self._lock:
            self._batcher.ready(model, max_batch)
            self._wake()

    def not_ready(self, model: str) -> None:
        """From now on `take` gives no batches for this model; its frames wait."""
        with self._lock:
            self._batcher.not_ready(model)

    def frame_sizes(self, model: str) -> set[tuple[int, int]]:
        """Height and width of the latest frame of each camera of a model."""
        with self._lock:
            return self._batcher.frame_sizes(model)

    def refuse(self, model: str) -> None:
        """Marks a model unavailable: drops its frames, also those that come, until it is ready."""
        with self._lock:
            waiting = self._batcher.refuse(model)
            self._wake()
        for frame in waiting:
            self._drop(frame, Drop.NO_MODEL)

    def expect(self, model: str) -> None:
        """The model is being loaded: from now on its frames wait."""
        with self._lock:
            self._batcher.expect(model)

    def limit(self, max_delay: float, max_age: float) -> None:
        """See Batcher.limit."""
        with self._lock:
            self._batcher.limit(max_delay, max_age)
            self._wake()

    def set_camera(self, camera: str, model: str, priority: float) -> None:
        """Adds a camera, or changes its model and priority."""
        with self._lock:
            waiting = self._batcher.set_camera(camera, model, priority)
            self._wake()
        for frame in waiting:
            self._drop(frame, Drop.NO_MODEL)

    def remove_camera(self, camera: str) -> None:
        """Removes a camera; its frames are released, also those that still come."""
        with self._lock:
            waiting = self._batcher.remove_camera(camera)
            self._wake()
        for frame in waiting:
            frame.release()

    def put(self, frame: Frame, wanted: Callable[[], bool] = lambda: True) -> None:
        """Adds a frame; waits for room only if it is not live. After close it is released.

        So is a frame that is not `wanted`, which is asked again whenever a camera is removed: its thread may have been
        replaced by another while it hung.
        """

        def takes() -> bool:
            return not self._closed and self._batcher.knows(frame.camera) and wanted()

        with self._lock:
            self._room.wait_for(lambda: not takes() or self._batcher.has_room(frame))
            if not takes():
                frame.release()
                return
            ready = self._batcher.is_ready(frame.camera)
            dropped = self._batcher.offer(frame)
            if self._wake_at > -math.inf:
                due = self._batcher.due_at(time.monotonic(), self._full)
                if due is not None and due < self._wake_at:
                    self._due.notify()
        if dropped is not None:
            self._drop(dropped, Drop.REPLACED if ready else Drop.NO_MODEL)

    def take(self, timeout: float, full: Collection[str] = ()) -> Batch | None:
        """The next batch that is due, waiting for at most `timeout` seconds; None: none is, or closed.

        For models that are `full` frames go on waiting, and being replaced by newer ones.
        """
        deadline = time.monotonic() + timeout
        with self._lock:
            while not self._closed:
                now = time.monotonic()
                for frame in self._batcher.expired(now):
                    self._drop(frame, Drop.TOO_OLD if self._batcher.is_ready(frame.camera) else Drop.NO_MODEL)
                batch = self._batcher.take(now, full)
                if batch is not None:
                    self._room.notify_all()
                    return batch
                if now >= deadline:
                    return None
                due = self._batcher.due_at(now, full)
                self._full, self._wake_at = full, min(deadline, deadline if due is None else due)
                self._due.wait(self._wake_at - now)
                self._wake_at = -math.inf
        return None

    def drop_taken(self, frames: Sequence[Frame]) -> None:
        """Drops the frames of a batch that the model has failed on."""
        for frame in frames:
            if not frame.live:
                self._batcher.give_back()
            self._drop(frame, Drop.NO_MODEL)

    def has_credit(self) -> None:
        """Later stages have room again for frames of files."""
        with self._lock:
            self._due.notify_all()

    def waiting(self) -> int:
        """The number of waiting frames."""
        with self._lock:
            return self._batcher.waiting()

    def close(self) -> None:
        """Wakes every waiter and releases the waiting frames."""
        with self._lock:
            self._closed = True
            waiting = self._batcher.clear()
            self._wake()
        for frame in waiting:
            frame.release()

    def _wake(self) -> None:
        """Wakes every waiter; with the lock."""
        self._room.notify_all()
        self._due.notify_all()

    def _drop(self, frame: Frame, reason: Drop) -> None:
        self._stats.dropped(frame.camera, reason)
        frame.release()

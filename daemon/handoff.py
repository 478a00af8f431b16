"""The hand-off between capture threads and the inference thread: a Batcher behind a lock."""

from __future__ import annotations

import threading
import time

from daemon.batch import Batcher
from daemon.records import Batch, Drop, Frame
from daemon.stats import Stats


class Handoff:
    """Live frames replace each other and are counted; frames of files wait for room."""

    def __init__(self, batcher: Batcher, stats: Stats) -> None:
        self._batcher = batcher
        self._stats = stats
        self._changed = threading.Condition()
        self._closed = False

    def put(self, frame: Frame) -> None:
        """Hands a frame on; waits for room only where the frame is not live. After close it is released."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._batcher.has_room(frame))
            if self._closed:
                frame.release()
                return
            replaced = self._batcher.offer(frame)
            self._changed.notify_all()
        if replaced is not None:
            self._drop(replaced, Drop.REPLACED)

    def take(self, timeout: float) -> Batch | None:
        """The next batch that is due, waiting for at most `timeout` seconds; None: none is, or closed."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                for frame in self._batcher.expired(now):
                    self._drop(frame, Drop.TOO_OLD)
                batch = self._batcher.take(now)
                if batch is not None:
                    self._changed.notify_all()
                    return batch
                if now >= deadline:
                    return None
                due = self._batcher.due_at(now)
                self._changed.wait(min(deadline, deadline if due is None else due) - now)
        return None

    def close(self) -> None:
        """Wakes every waiter and releases what waits."""
        with self._changed:
            self._closed = True
            waiting = self._batcher.clear()
            self._changed.notify_all()
        for frame in waiting:
            frame.release()

    def _drop(self, frame: Frame, reason: Drop) -> None:
        self._stats.dropped(frame.camera, reason)
        frame.release()

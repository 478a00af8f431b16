"""Which frames get a message: each, those in which something changes, or one in so many seconds. Pure."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from daemon.records import FrameResult


class MessageRateLimiter:
    """Of all cameras of a device; `every` is `mqtt.every`: frame, change, or seconds as text."""

    def __init__(self, every: str) -> None:
        self._change = every == "change"
        self._seconds = 0.0 if every in ("frame", "change") else float(every)
        self._seen: dict[str, bytes] = {}
        """by camera, the classes in its last frame, sorted"""
        self._published: dict[str, float] = {}
        """by camera, capture time of the last published frame, time.monotonic() seconds"""

    def keep(self, cameras: Collection[str]) -> None:
        """Forgets all other cameras: the first frame of one that comes back is published."""
        self._seen = {name: seen for name, seen in self._seen.items() if name in cameras}
        self._published = {name: at for name, at in self._published.items() if name in cameras}

    def allows(self, result: FrameResult) -> bool:
        """Whether this frame is published; the first of a camera always is. For frames in their order."""
        if self._change:
            seen = np.sort(result.detections.labels).tobytes()
            changed = self._seen.get(result.camera) != seen
            self._seen[result.camera] = seen
            return changed
        if self._seconds:
            last = self._published.get(result.camera)
            if last is not None and result.captured_mono - last < self._seconds:
                return False
            self._published[result.camera] = result.captured_mono
        return True

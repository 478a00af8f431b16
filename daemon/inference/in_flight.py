"""How many batches of a model may be in flight: bounded by time, so that a slow device is no queue of old frames."""

from __future__ import annotations

from collections import deque

WORK = 0.04  # seconds of work that may be in flight
_LEAST = 2  # batches: one that computes, and one that is there when it ends
_REMEMBERED = 9  # batches; their median is not moved by one that had to wait for something else


class InFlightLimit:
    """For one session. Not thread-safe; time is passed in, monotonic seconds."""

    def __init__(self, slots: int) -> None:
        """`slots` of the session; no limit is higher."""
        self._slots = slots
        self._seconds: deque[float] = deque(maxlen=_REMEMBERED)
        self._free_since = 0.0
        self.batches = min(_LEAST, slots)
        """as many as the device computes in 40 ms, but two at least; two until the first is done"""

    def finished(self, submitted: float, now: float) -> None:
        """A batch is done; it took the device from `submitted`, or from the end of the batch before it."""
        self._seconds.append(now - max(submitted, self._free_since))
        self._free_since = now
        seconds = sorted(self._seconds)[len(self._seconds) // 2]
        self.batches = min(self._slots, max(_LEAST, int(WORK / max(seconds, 1e-6))))

"""Detects frames that the network held back, from their arrival and their time stamps: pure."""

from __future__ import annotations

from collections import deque

_HELD_BACK = 0.3  # seconds behind the stream's clock from which on a frame counts as held back
_REMEMBERED = 32  # frames that the stream's clock is known from
_SPREAD = 0.15  # seconds by which those may disagree
_WITNESSES = 5  # frames that must agree before the clock is believed; twice as many after each false alarm
_AT_ONCE = 0.002  # seconds in which a frame comes that was in the buffer, whatever its stamp says


class StreamClock:
    """Of one connection. Time stamps are advice: cameras invent, repeat and scatter them.

    A frame is held back where a newer one is there already: at the beginning while the stream's clock runs faster than
    ours, as when a buffer is emptied; later where the stamp is behind a clock that has kept pace with ours. Of a stream
    whose stamps do not fit no frame is held back.
    """

    def __init__(self, opening: float) -> None:
        """`opening` is how long the source took to open, seconds: frames may have been buffered for as long."""
        self._buffered = opening
        """seconds of video that may be in the buffer; 0 once it is empty"""
        self._first: tuple[float, float] | None = None
        """when the first frame came, and its stamp"""
        self._last_stamp = 0.0
        self._last = 0.0, 0.0
        """step of the stamp and wait of the frame before, while the buffer is emptied: a busy computer may delay one"""
        self._in_time: deque[tuple[float, float]] = deque(maxlen=_REMEMBERED)
        """of frames that were not held back: when they came, and by how much our clock was ahead of theirs"""
        self._suspicion = False
        """whether the last frame was held back, so that this one must have been there"""
        self._needed = _WITNESSES

    def held_back(self, now: float, waited: float, stamp: float) -> bool:
        """Whether the frame is that came at `now` after `waited` seconds; `now` and `stamp` in seconds."""
        if self._first is None:
            self._first, self._last_stamp = (now, stamp), stamp
            return self._buffered > _HELD_BACK
        step, self._last_stamp = stamp - self._last_stamp, stamp
        was_there = step > 2 * waited
        if self._buffered:
            ran = waited < _AT_ONCE or step + self._last[0] > 2 * (waited + self._last[1])
            self._last = step, waited
            if ran and max(now - self._first[0], stamp - self._first[1]) < self._buffered:
                return True
            self._buffered = 0.0
        if self._suspicion and not was_there:
            self._in_time.clear()
            self._needed *= 2
        self._suspicion = step > 0 and self._is_late(now, now - stamp)
        if not self._suspicion:
            self._in_time.append((now, now - stamp))
        return self._suspicion

    def _is_late(self, now: float, ahead: float) -> bool:
        """Whether the stamp is behind by more than can be chance, and by less than the time since the last in time."""
        if len(self._in_time) < self._needed:
            return False
        known = [each for _, each in self._in_time]
        return max(known) - min(known) <= _SPREAD and (
            _HELD_BACK < ahead - min(known) <= now - self._in_time[-1][0] + 2 * _SPREAD
        )

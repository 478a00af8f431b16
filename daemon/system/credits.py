"""Back-pressure for frames that must not be dropped: limits how many of them later stages hold."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

_LIMIT = 256  # frames


class Credits:
    """Counts these frames for each consumer; the batcher takes one only while every consumer has room. Thread-safe.

    So a file is read as fast as its slowest consumer allows, and no stage blocks while it holds a frame.
    """

    def __init__(self, limit: int = _LIMIT) -> None:
        """`limit`: frames that one consumer may have at a time."""
        self._limit = limit
        self._lock = threading.Lock()
        self._in_hand: dict[str, int] = {}
        self._on_room: Callable[[], None] = lambda: None

    def consumer(self, name: str) -> Callable[[], None]:
        """Adds a consumer, before the first frame; it calls the returned function once for each finished frame."""
        self._in_hand[name] = 0
        return partial(self._give_back, name)

    def on_room(self, call: Callable[[], None]) -> None:
        """Has `call` called, in the consumer's thread, when there is room again."""
        self._on_room = call

    def room(self) -> int:
        """Frames that every consumer would still take."""
        with self._lock:
            return self._room()

    def take(self) -> None:
        """One frame sets out."""
        with self._lock:
            for name in self._in_hand:
                self._in_hand[name] += 1

    def give_back_all(self) -> None:
        """A frame has ended before it reached any consumer."""
        for name in self._in_hand:
            self._give_back(name)

    def _give_back(self, name: str) -> None:
        with self._lock:
            if self._in_hand[name] == 0:
                raise RuntimeError(f"{name} gave back more frames than it took")
            before = self._room()
            self._in_hand[name] -= 1
            news = before <= 0 < self._room()
        if news:
            self._on_room()

    def _room(self) -> int:
        return self._limit - max(self._in_hand.values(), default=0)

"""What is to be written to the outbox next, in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from daemon.system.wall_clock import offset

_LIMIT = 10_000  # entries while the disk cannot be written

Kept = Mapping[str, bytes | None]
"""values by key; None: to be deleted"""
NOTHING: Kept = {}


@dataclass(frozen=True, slots=True)
class Put:
    """A message, values to be kept, or both."""

    message: tuple[str, bytes] | None
    """topic and payload; None where only something is to be kept"""
    since: float
    """time.monotonic() at the capture of what it is about"""
    kept: Kept
    on_done: tuple[Callable[[], None], ...] = ()
    """called in the thread `outbox` when it was written, or the disk has failed"""
    clock: float | None = None
    """how far the system clock that its times are of was ahead of the monotonic one, seconds; None: as it is now"""


class PutQueue:
    """In order; for one thread at a time."""

    def __init__(self) -> None:
        self._puts: deque[Put] = deque()

    def __len__(self) -> int:
        return len(self._puts)

    @property
    def messages(self) -> int:
        """How many messages wait."""
        return sum(put.message is not None for put in self._puts)

    def add(self, put: Put) -> bool:
        """Whether the oldest message was dropped for it; what that was to keep is kept with the next."""
        if put.clock is None:
            put = replace(put, clock=offset())
        lost = False
        if len(self._puts) >= _LIMIT:
            oldest, second = self._puts.popleft(), self._puts.popleft()
            kept, on_done = {**oldest.kept, **second.kept}, (*oldest.on_done, *second.on_done)
            self._puts.appendleft(replace(second, kept=kept, on_done=on_done))
            lost = oldest.message is not None
        self._puts.append(put)
        return lost

    def take(self) -> list[Put]:
        """All of them."""
        taken = list(self._puts)
        self._puts.clear()
        return taken

    def give_back(self, puts: Sequence[Put]) -> None:
        """They could not be written; they are the first again."""
        self._puts.extendleft(replace(put, on_done=()) for put in reversed(puts))

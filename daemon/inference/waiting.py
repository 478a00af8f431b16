"""The frames that wait for one model. What is asked for every frame costs the same with any number of cameras."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator

from daemon.records import Frame

_DELIVERING = 1.0  # seconds since its last frame for which a camera counts as delivering


class Waiting:
    """A queue for each camera. Where frames that are not live are `held`, they count as if they were not there."""

    def __init__(self) -> None:
        self._queues: dict[str, deque[Frame]] = {}
        self._counts = {True: 0, False: 0}
        """frames behind a live one, itself included, and behind one that is not, as after a change of the pace"""
        self._oldest: dict[bool, float | None] = {True: math.inf, False: math.inf}
        """capture time of the oldest frame that is first in its queue, of each kind; None: to be looked for"""
        self._recent: dict[str, float] = {}
        """when each camera last offered a frame, monotonic seconds, the latest one last; not of those that are idle"""

    def offer(self, frame: Frame) -> Frame | None:
        """Adds a frame; a live one replaces the one before, which is returned."""
        queue = self._queues.setdefault(frame.camera, deque())
        replaced = self._taken(queue, last=True) if frame.live and queue else None
        queue.append(frame)
        self._counts[queue[0].live] += 1
        if len(queue) == 1:
            self._is_first(frame)
        self._recent.pop(frame.camera, None)
        self._recent[frame.camera] = frame.captured_mono
        return replaced

    def pop(self, camera: str) -> Frame:
        """Takes out a camera's first frame."""
        return self._taken(self._queues[camera])

    def remove(self, camera: str) -> list[Frame]:
        """Takes out a camera's frames, and forgets it."""
        frames = self._emptied(self._queues.pop(camera, deque()))
        self._recent.pop(camera, None)
        return frames

    def clear(self) -> list[Frame]:
        """Takes out all frames."""
        return [frame for queue in self._queues.values() for frame in self._emptied(queue)]

    def expired(self, before: float) -> list[Frame]:
        """Takes out the live frames that were captured before then, monotonic seconds."""
        if self._oldest_of(live=True) >= before:
            return []
        queues = self._queues.items()
        return [self.pop(camera) for camera, q in queues if q and q[0].live and q[0].captured_mono < before]

    def first(self, held: bool) -> Iterator[Frame]:
        """The next frame of each camera that has one."""
        return (queue[0] for queue in self._queues.values() if queue and (queue[0].live or not held))

    def next_of(self, camera: str) -> Frame | None:
        """A camera's next frame, if it has one."""
        queue = self._queues[camera]
        return queue[0] if queue else None

    def count_of(self, camera: str) -> int:
        """How many frames of a camera wait."""
        return len(self._queues.get(camera, ()))

    @property
    def has_recorded(self) -> bool:
        """Whether a frame waits that is not live."""
        return self._counts[False] > 0

    def count(self, held: bool = False) -> int:
        """How many frames wait."""
        return self._counts[True] + (0 if held else self._counts[False])

    def oldest(self, held: bool) -> float:
        """When the oldest of them was captured that are first in their queues, monotonic seconds."""
        live = self._oldest_of(live=True)
        return live if held else min(live, self._oldest_of(live=False))

    def delivering(self, now: float, held: bool) -> int:
        """How many cameras have offered a frame lately."""
        while self._recent:
            camera, last = next(iter(self._recent.items()))
            if now - last <= _DELIVERING:
                break
            del self._recent[camera]
        if not (held and self.has_recorded):
            return len(self._recent)
        first = (self.next_of(camera) for camera in self._recent)
        return sum(frame is None or frame.live for frame in first)

    def _oldest_of(self, live: bool) -> float:
        oldest = self._oldest[live]
        if oldest is None:
            first = (queue[0] for queue in self._queues.values() if queue)
            oldest = min((frame.captured_mono for frame in first if frame.live is live), default=math.inf)
            self._oldest[live] = oldest
        return oldest

    def _is_first(self, frame: Frame) -> None:
        """It has become the first of its queue."""
        oldest = self._oldest[frame.live]
        if oldest is not None:
            self._oldest[frame.live] = min(oldest, frame.captured_mono)

    def _taken(self, queue: deque[Frame], last: bool = False) -> Frame:
        """Takes out the first frame of a queue, or the last one."""
        first = queue[0]
        frame = queue.pop() if last else queue.popleft()
        self._counts[first.live] -= 1
        if frame is not first:
            return frame
        oldest = self._oldest[first.live]
        if oldest is not None and first.captured_mono <= oldest:
            self._oldest[first.live] = None
        if queue:
            self._counts[first.live] -= len(queue)
            self._counts[queue[0].live] += len(queue)
            self._is_first(queue[0])
        if not self._counts[first.live]:
            self._oldest[first.live] = math.inf
        return frame

    def _emptied(self, queue: deque[Frame]) -> list[Frame]:
        return [self._taken(queue) for _ in range(len(queue))]

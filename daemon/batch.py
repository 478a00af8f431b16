"""Which frames go through a model together, and when: pure, time is passed in.

Of every live camera the newest frame waits, and replaces the one before; of a file that is read as fast as possible
up to `max_batch` frames wait and nothing is replaced. A model's frames are due when a batch is full, when every
camera that is delivering has one, or when the oldest has waited `max_delay`. They leave oldest first. Until a model is
ready one frame of each of its cameras waits, and of a model that was refused none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from daemon.records import Batch, Frame

_DELIVERING = 1.0  # seconds since its last frame for which a camera counts as delivering


@dataclass
class _Waiting:
    """What waits for one model."""

    frames: dict[str, deque[Frame]] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)
    """when each camera last offered a frame, monotonic seconds"""

    def oldest(self) -> float | None:
        heads = [queue[0].captured_mono for queue in self.frames.values() if queue]
        return min(heads, default=None)


class Batcher:
    """Holds the frames that wait. Not thread-safe."""

    def __init__(self, model_of: Mapping[str, str], max_delay: float, max_age: float) -> None:
        """`model_of` each camera; max_delay and max_age are seconds. No model is ready yet."""
        self._model_of = model_of
        self._max_delay = max_delay
        self._max_age = max_age
        self._max_batch: dict[str, int] = {}
        """of each model that is ready"""
        self._refused: set[str] = set()
        self._waiting = {model: _Waiting() for model in model_of.values()}

    def ready(self, model: str, max_batch: int) -> None:
        """From now on `take` gives batches of at most `max_batch` for this model."""
        self._max_batch[model] = max_batch

    def refuse(self, model: str) -> list[Frame]:
        """Takes out what waits for a model that will never be ready; from now on `offer` gives its frames back."""
        self._refused.add(model)
        return _emptied(self._waiting[model].frames.values())

    def is_ready(self, camera: str) -> bool:
        """Whether the camera's model is."""
        return self._model_of[camera] in self._max_batch

    def has_room(self, frame: Frame) -> bool:
        """Whether `offer` may be called: always for a live frame."""
        model = self._model_of[frame.camera]
        queue = self._waiting[model].frames.get(frame.camera, ())
        return frame.live or model in self._refused or len(queue) < self._max_batch.get(model, 1)

    def offer(self, frame: Frame) -> Frame | None:
        """Takes a frame in; gives back the one that it replaces, or itself where its model was refused."""
        model = self._model_of[frame.camera]
        if model in self._refused:
            return frame
        waiting = self._waiting[model]
        queue = waiting.frames.setdefault(frame.camera, deque())
        replaced = queue.pop() if frame.live and queue else None
        queue.append(frame)
        waiting.last[frame.camera] = frame.captured_mono
        return replaced

    def expired(self, now: float) -> list[Frame]:
        """Takes out the live frames that are older than max_age."""
        queues = (queue for waiting in self._waiting.values() for queue in waiting.frames.values())
        return [q.popleft() for q in queues if q and q[0].live and now - q[0].captured_mono > self._max_age]

    def due_at(self, now: float) -> float | None:
        """When the next batch is due, monotonic seconds; `now` or earlier means at once; None: nothing waits."""
        times = (self._due_at(model, now) for model in self._waiting)
        return min((due for due in times if due is not None), default=None)

    def take(self, now: float) -> Batch | None:
        """The batch that has been due longest, if one is due."""
        due = [(at, model) for model in self._waiting if (at := self._due_at(model, now)) is not None and at <= now]
        if not due:
            return None
        _, model = min(due)
        queues = self._waiting[model].frames
        chosen: list[Frame] = []
        while len(chosen) < self._max_batch[model] and any(queues.values()):
            queue = min((q for q in queues.values() if q), key=lambda q: q[0].captured_mono)
            chosen.append(queue.popleft())
        return Batch(model, tuple(chosen))

    def clear(self) -> list[Frame]:
        """Takes everything out."""
        return _emptied(queue for waiting in self._waiting.values() for queue in waiting.frames.values())

    def _due_at(self, model: str, now: float) -> float | None:
        waiting = self._waiting[model]
        oldest = waiting.oldest()
        if oldest is None or model not in self._max_batch:
            return None
        ready = sum(map(len, waiting.frames.values()))
        delivering = sum(now - last <= _DELIVERING for last in waiting.last.values())
        # waiting for a camera that gives nothing, or for a second frame of the only one, would be delay for nothing
        if ready >= min(self._max_batch[model], max(delivering, 1)):
            return oldest
        return oldest + self._max_delay


def _emptied(queues: Iterable[deque[Frame]]) -> list[Frame]:
    """What was in the queues."""
    frames: list[Frame] = []
    for queue in queues:
        frames.extend(queue)
        queue.clear()
    return frames

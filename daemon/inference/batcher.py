"""Which frames go through a model together, and when: pure, time is passed in.

Of every live camera the newest frame waits, and replaces the one before; of a file that is read as fast as possible
up to `max_batch` frames wait and nothing is replaced. A model's frames are due when a batch is full, when every
camera that is delivering has one, or when the oldest has waited `max_delay`. A batch holds one frame of a live camera
at most and leaves oldest first. Until a model is ready one frame of each of its cameras waits, and of a model that was
refused none.

Where more frames wait than fit, cameras take turns. The ideal is weighted max-min fairness: a camera with r frames a
second and priority p gets min(r, p * level), with the one level at which all that the models can do is given out. So
whoever asks for less than its part gets all it asks for, the others divide the rest by priority, and frames that come
faster gain nothing. This is start-time fair queueing: each frame that is taken sets its camera back by 1 / p, whoever
is furthest behind is next, of equals the one with the oldest frame, and a camera that gave nothing for a while is next
once but saves up no more than that. The turns are counted over all models, so no model starves another.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from daemon.records import Batch, Frame
from daemon.system.credits import Credits

_DELIVERING = 1.0  # seconds since its last frame for which a camera counts as delivering


@dataclass
class _Waiting:
    """The frames that wait for one model."""

    frames: dict[str, deque[Frame]] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)
    """when each camera last offered a frame, monotonic seconds"""


class Batcher:
    """Holds the frames that wait. Not thread-safe."""

    def __init__(
        self,
        model_of: Mapping[str, str],
        max_delay: float,
        max_age: float,
        priority: Mapping[str, float] | None = None,
        credit: Credits | None = None,
    ) -> None:
        """`model_of` each camera; max_delay and max_age are seconds; `priority` is 1 where it is not given.

        `credit` for frames that are not live; each that is taken is counted there. No model is ready yet.
        """
        self._credits = credit or Credits()
        self._model_of = dict(model_of)
        self._max_delay = max_delay
        self._max_age = max_age
        self._priority = dict.fromkeys(model_of, 1.0) | dict(priority or {})
        self._turns = dict.fromkeys(model_of, 0.0)
        """virtual time of each camera, in frames at priority 1"""
        self._turn = 0.0
        """virtual time of the frame taken last"""
        self._max_batch: dict[str, int] = {}
        """of each model that is ready"""
        self._sizes: dict[str, tuple[int, int]] = {}
        """height and width of each camera's latest frame"""
        self._refused: set[str] = set()
        self._waiting = {model: _Waiting() for model in model_of.values()}

    def ready(self, model: str, max_batch: int) -> None:
        """From now on `take` gives batches of at most `max_batch` for this model."""
        self._refused.discard(model)
        self._max_batch[model] = max_batch

    def not_ready(self, model: str) -> None:
        """From now on `take` gives no batches for this model."""
        self._max_batch.pop(model, None)

    def frame_sizes(self, model: str) -> set[tuple[int, int]]:
        """Height and width of the latest frame of each camera of a model."""
        return {size for camera, size in self._sizes.items() if self._model_of[camera] == model}

    def refuse(self, model: str) -> list[Frame]:
        """Takes out the frames of an unavailable model; until it is ready `offer` gives its frames back."""
        self._refused.add(model)
        self.not_ready(model)
        return _emptied(self._waiting[model].frames.values()) if model in self._waiting else []

    def expect(self, model: str) -> None:
        """The model will be ready: forgets that it was refused."""
        self._refused.discard(model)

    def limit(self, max_delay: float, max_age: float) -> None:
        """Sets both, in seconds."""
        self._max_delay = max_delay
        self._max_age = max_age

    def set_camera(self, camera: str, model: str, priority: float) -> list[Frame]:
        """Adds or changes a camera; takes out its frames that wait for its former model."""
        taken_out = self.remove_camera(camera) if self._model_of.get(camera, model) != model else []
        self._model_of[camera] = model
        self._priority[camera] = priority
        self._turns.setdefault(camera, self._turn)
        self._waiting.setdefault(model, _Waiting())
        return taken_out

    def remove_camera(self, camera: str) -> list[Frame]:
        """Removes a camera and takes out its frames."""
        waiting = self._waiting[self._model_of.pop(camera)]
        waiting.last.pop(camera, None)
        del self._priority[camera], self._turns[camera]
        self._sizes.pop(camera, None)
        return list(waiting.frames.pop(camera, ()))

    def knows(self, camera: str) -> bool:
        """Whether frames of the camera may be offered."""
        return camera in self._model_of

    def is_ready(self, camera: str) -> bool:
        """Whether the camera's model is ready."""
        return self._model_of[camera] in self._max_batch

    def has_room(self, frame: Frame) -> bool:
        """Whether `offer` may be called: always for a live frame."""
        model = self._model_of[frame.camera]
        queue = self._waiting[model].frames.get(frame.camera, ())
        return frame.live or model in self._refused or len(queue) < self._max_batch.get(model, 1)

    def offer(self, frame: Frame) -> Frame | None:
        """Adds a frame; returns the one that it replaces, or itself if its model is unavailable."""
        model = self._model_of[frame.camera]
        self._sizes[frame.camera] = frame.image.height, frame.image.width
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

    def due_at(self, now: float, full: Collection[str] = ()) -> float | None:
        """When the next batch is due, monotonic seconds; `now` or earlier means at once; None: nothing waits.

        Models that are `full` take none.
        """
        times = (self._due_at(model, now) for model in self._waiting if model not in full)
        return min((due for due in times if due is not None), default=None)

    def take(self, now: float, full: Collection[str] = ()) -> Batch | None:
        """The next due batch in fair order, if any; none of the models in `full`."""
        due = [model for model in self._waiting if model not in full and self._is_due(model, now)]
        if not due:
            return None
        model = min(due, key=lambda model: min(map(self._order, self._heads(model))))
        chosen: list[Frame] = []
        while len(chosen) < self._max_batch[model] and (heads := self._heads(model)):
            frame = min(heads, key=self._order)
            self._waiting[model].frames[frame.camera].popleft()
            if not frame.live:
                self._credits.take()
            self._set_back(frame.camera)
            chosen.append(frame)
        return Batch(model, tuple(sorted(chosen, key=lambda frame: frame.captured_mono)))

    def give_back(self) -> None:
        """A frame that was taken and is not live ends before any later stage has it; for any thread."""
        self._credits.give_back_all()

    def waiting(self) -> int:
        """The number of waiting frames."""
        return sum(len(queue) for waiting in self._waiting.values() for queue in waiting.frames.values())

    def clear(self) -> list[Frame]:
        """Takes out all frames."""
        return _emptied(queue for waiting in self._waiting.values() for queue in waiting.frames.values())

    def _heads(self, model: str) -> list[Frame]:
        """The next frame of each camera that has one which may be taken."""
        return [queue[0] for queue in self._waiting[model].frames.values() if queue and not self._is_held(queue)]

    def _is_held(self, queue: deque[Frame]) -> bool:
        """Whether the frames of a camera wait for room in a later stage."""
        return bool(queue) and not queue[0].live and self._credits.room() <= 0

    def _order(self, frame: Frame) -> tuple[float, float]:
        return self._turns[frame.camera], frame.captured_mono

    def _set_back(self, camera: str) -> None:
        """Charges a camera for a frame; one that was idle does not catch up on frames that it never offered."""
        self._turn = max(self._turn, self._turns[camera])
        self._turns[camera] = self._turn + 1 / self._priority[camera]

    def _is_due(self, model: str, now: float) -> bool:
        at = self._due_at(model, now)
        return at is not None and at <= now

    def _due_at(self, model: str, now: float) -> float | None:
        waiting, heads = self._waiting[model], self._heads(model)
        if not heads or model not in self._max_batch:
            return None
        oldest = min(frame.captured_mono for frame in heads)
        held = {camera for camera, queue in waiting.frames.items() if self._is_held(queue)}
        ready = sum(len(queue) for camera, queue in waiting.frames.items() if camera not in held)
        delivering = sum(now - last <= _DELIVERING for camera, last in waiting.last.items() if camera not in held)
        # waiting for an idle camera, or for a second frame of the only one, would only add latency
        if ready >= min(self._max_batch[model], max(delivering, 1)):
            return oldest
        return oldest + self._max_delay


def _emptied(queues: Iterable[deque[Frame]]) -> list[Frame]:
    """The frames of the queues, which are empty then."""
    frames: list[Frame] = []
    for queue in queues:
        frames.extend(queue)
        queue.clear()
    return frames

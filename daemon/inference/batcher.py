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

import heapq
from collections.abc import Collection, Iterator, Mapping

from daemon.inference.waiting import Waiting
from daemon.records import Batch, Frame
from daemon.system.credits import Credits


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
        self._waiting = {model: Waiting() for model in model_of.values()}

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
        return self._waiting[model].clear() if model in self._waiting else []

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
        self._waiting.setdefault(model, Waiting())
        return taken_out

    def remove_camera(self, camera: str) -> list[Frame]:
        """Removes a camera and takes out its frames."""
        waiting = self._waiting[self._model_of.pop(camera)]
        del self._priority[camera], self._turns[camera]
        self._sizes.pop(camera, None)
        return waiting.remove(camera)

    def knows(self, camera: str) -> bool:
        """Whether frames of the camera may be offered."""
        return camera in self._model_of

    def is_ready(self, camera: str) -> bool:
        """Whether the camera's model is ready."""
        return self._model_of[camera] in self._max_batch

    def has_room(self, frame: Frame) -> bool:
        """Whether `offer` may be called: always for a live frame."""
        if frame.live:
            return True
        model = self._model_of[frame.camera]
        waiting = self._waiting[model].count_of(frame.camera)
        return model in self._refused or waiting < self._max_batch.get(model, 1)

    def offer(self, frame: Frame) -> Frame | None:
        """Adds a frame; returns the one that it replaces, or itself if its model is unavailable."""
        model = self._model_of[frame.camera]
        self._sizes[frame.camera] = frame.image.height, frame.image.width
        if model in self._refused:
            return frame
        return self._waiting[model].offer(frame)

    def expired(self, now: float) -> list[Frame]:
        """Takes out the live frames that are older than max_age."""
        return [frame for waiting in self._waiting.values() for frame in waiting.expired(now - self._max_age)]

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
        model = due[0] if len(due) == 1 else min(due, key=lambda model: min(map(self._order, self._first(model))))
        waiting, room = self._waiting[model], self._credits.room()
        # in the order of the turns; the number keeps cameras apart whose turns and frames are equal
        turns = [(self._order(frame), number, frame) for number, frame in enumerate(self._first(model))]
        heapq.heapify(turns)
        chosen: list[Frame] = []
        while turns and len(chosen) < self._max_batch[model]:
            _, number, frame = heapq.heappop(turns)
            if not frame.live:
                if room <= 0:
                    continue
                room -= 1
                self._credits.take()
            waiting.pop(frame.camera)
            self._set_back(frame.camera)
            chosen.append(frame)
            if (following := waiting.next_of(frame.camera)) is not None:
                heapq.heappush(turns, (self._order(following), number, following))
        return Batch(model, tuple(sorted(chosen, key=lambda frame: frame.captured_mono)))

    def give_back(self) -> None:
        """A frame that was taken and is not live ends before any later stage has it; for any thread."""
        self._credits.give_back_all()

    def waiting(self) -> int:
        """The number of waiting frames."""
        return sum(waiting.count() for waiting in self._waiting.values())

    def clear(self) -> list[Frame]:
        """Takes out all frames."""
        return [frame for waiting in self._waiting.values() for frame in waiting.clear()]

    def _first(self, model: str) -> Iterator[Frame]:
        """The next frame of each camera that has one which may be taken."""
        waiting = self._waiting[model]
        return waiting.first(self._holds(waiting))

    def _holds(self, waiting: Waiting) -> bool:
        """Whether frames that are not live wait for room in a later stage."""
        return waiting.has_recorded and self._credits.room() <= 0

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
        waiting = self._waiting[model]
        held = self._holds(waiting)
        ready = waiting.count(held)
        if not ready or model not in self._max_batch:
            return None
        # waiting for an idle camera, or for a second frame of the only one, would only add latency
        if ready >= min(self._max_batch[model], max(waiting.delivering(now, held), 1)):
            return waiting.oldest(held)
        return waiting.oldest(held) + self._max_delay

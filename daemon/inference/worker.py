"""The one thread that uses a GPU: batches in, results out, with several batches of each model in flight."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue

from daemon.inference.frame_queue import FrameQueue
from daemon.inference.in_flight import InFlightLimit
from daemon.inference.session_loader import close_session
from daemon.records import Batch, Frame, FrameResult, Latency
from daemon.stats import DaemonCount, Stats
from daemon.system.thread_scheduling import request_short_slice
from daemon.system.worker_thread import WorkerThread
from engines.errors import ModelError
from engines.pictures import BgrPicture, Picture, Pixels
from engines.records import BatchDetections, Detections, DetectorSession, Handle

_IDLE = 0.25  # seconds; how long the thread sleeps at most before it looks whether it should stop
# How often it looks for results while it could still start a batch: what takes long may be told later.
# Each look takes the GIL from a hundred other threads.
_LOOK_AT_LEAST = 2.5e-4  # seconds
_LOOK = 1 / 16  # of the time that the oldest batch has taken
_AHEAD = 64  # results that may wait for analysis before a batch is started
_CATCH_UP = 1e-3  # seconds


@dataclass(frozen=True, slots=True, eq=False)
class OpenModel:
    """A model that is ready to run."""

    name: str
    labels: tuple[str, ...]
    session: DetectorSession
    """the inference worker's own until it is retired"""
    floor: Callable[[], float]
    """least score of the candidates in results, 0 to 1; asked when the model is used, and again after `refresh`"""
    retire: Callable[[DetectorSession], None]
    """takes the session back when another one is used, or none, and its last batch is done; called in the thread"""
    failed: Callable[[ModelError], None]
    """takes the error of each batch whose outputs are not what the model's family gives; called in the thread"""


@dataclass(frozen=True, slots=True)
class _Submitted:
    model: OpenModel
    batch: Batch
    handle: Handle
    at: float
    """time.monotonic()"""


class _Running:
    """The batches in flight of one name, across an exchange of the model behind it."""

    def __init__(self) -> None:
        self.model: OpenModel | None = None
        """None: takes no more batches"""
        self.limit = InFlightLimit(0)
        self.pending: deque[_Submitted] = deque()
        """in the order submitted, which is the order that results leave in"""

    def use(self, model: OpenModel | None) -> None:
        """From now on; the session before is retired when its last batch is done."""
        before, self.model = self.model, model
        self.limit = InFlightLimit(0 if model is None else model.session.slots)
        if before is not None:
            self._retire(before)

    def is_full(self) -> bool:
        """Whether as much is in flight as may be."""
        return len(self.pending) >= self.limit.batches

    def finish(self) -> tuple[_Submitted, BatchDetections | ModelError]:
        """Waits for the oldest batch."""
        submitted = self.pending.popleft()
        outcome: BatchDetections | ModelError
        try:
            outcome = submitted.model.session.collect(submitted.handle)
        except ModelError as error:
            outcome = error
        if submitted.model is self.model:
            self.limit.finished(submitted.at, time.monotonic())
        else:
            self._retire(submitted.model)
        return submitted, outcome

    def close(self) -> None:
        """Closes every session; what is in flight is lost."""
        models = [submitted.model for submitted in self.pending]
        for model in dict.fromkeys([*models, self.model]):
            if model is not None:
                close_session(model.name, model.session)

    def _retire(self, model: OpenModel) -> None:
        if all(submitted.model is not model for submitted in self.pending):
            model.retire(model.session)


class InferenceWorker:
    """Takes batches, runs them and hands the results on, together with their frames.

    It opens and closes nothing: it takes sessions over, and hands them back.
    """

    def __init__(
        self,
        name: str,
        frames: FrameQueue,
        deliver: Callable[[Sequence[FrameResult], Sequence[Frame]], None],
        stats: Stats,
        on_fatal: Callable[[BaseException], None],
        waiting: Callable[[], int] = lambda: 0,
    ) -> None:
        """`name` of the thread; it takes batches from `frames`, and says there which models it runs.

        `deliver` takes over the results of a batch, with every candidate above the model's floor, and their frames,
        which it releases; `waiting` is how many results wait there. `on_fatal` gets the exception that ends the thread.
        """
        self._frames = frames
        self._deliver = deliver
        self._waiting = waiting
        self._stats = stats
        self._asked: SimpleQueue[Callable[[], None]] = SimpleQueue()
        """work for the thread between two batches"""
        self._models: dict[str, _Running] = {}
        self._busy_since = math.inf
        self._stop = threading.Event()
        self._thread = WorkerThread(name, self._run, on_fatal)

    def use(self, model: OpenModel) -> None:
        """Has the thread run this model from its next batch on, in place of one of the same name; returns at once."""
        self._asked.put(partial(self._use, model))

    def drop(self, name: str) -> None:
        """Has the thread run a model no more; returns at once."""
        self._asked.put(partial(self._drop, name))

    def refresh(self, name: str) -> None:
        """Has the thread ask again for a model's floor; returns at once."""
        self._asked.put(partial(self._refresh, name))

    def busy_for(self) -> float:
        """Seconds since the oldest batch in flight was started, or what the thread does now; for any thread.

        0: it waits for frames.
        """
        return max(0.0, time.monotonic() - self._busy_since)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Asks the thread to end; returns at once."""
        self._stop.set()

    def join(self, timeout: float) -> bool:
        """Whether the thread has ended within `timeout` seconds."""
        return self._thread.join(timeout)

    def _run(self) -> None:
        try:
            request_short_slice()
            since = None
            while not self._stop.is_set():
                self._busy_since = since or time.monotonic()
                while not self._asked.empty():
                    self._asked.get()()
                since = self._collect_done()
                self._busy_since = since or math.inf
                wait = _IDLE if since is None else max(_LOOK_AT_LEAST, (time.monotonic() - since) * _LOOK)
                full = self._full()
                if self._waiting() >= _AHEAD:  # more of them would only grow old there, and then be dropped
                    wait, full = min(wait, _CATCH_UP), list(self._models)
                batch = self._frames.take(wait, full)
                if batch is not None:
                    self._busy_since = since or time.monotonic()
                    self._submit(batch)
            for running in self._models.values():
                while running.pending:
                    self._collect(running)
        finally:
            while not self._asked.empty():  # a session that comes now is closed too
                self._asked.get()()
            for running in self._models.values():
                running.close()

    def _submit(self, batch: Batch) -> None:
        running = self._models[batch.model]
        model = running.model
        if model is None:  # the frame queue gives no batches of such a model
            raise RuntimeError(f"a batch of the model {batch.model}, which is not in use")
        at = time.monotonic()
        handle = model.session.submit([_pixels(frame.image) for frame in batch.frames])
        running.pending.append(_Submitted(model, batch, handle, at))
        self._stats.count_daemon(DaemonCount.BATCHES)

    def _full(self) -> list[str]:
        """The models that are to get no batch for now."""
        return [name for name, running in self._models.items() if running.is_full()]

    def _collect_done(self) -> float | None:
        """Hands on what needs no waiting; when the oldest was started of those that are still in flight."""
        for running in self._models.values():
            while running.pending and running.pending[0].model.session.is_done(running.pending[0].handle):
                self._collect(running)
        return min((running.pending[0].at for running in self._models.values() if running.pending), default=None)

    def _use(self, model: OpenModel) -> None:
        model.session.set_confidence(model.floor())
        self._models.setdefault(model.name, _Running()).use(model)
        self._frames.ready(model.name, model.session.max_batch)

    def _drop(self, name: str) -> None:
        self._frames.not_ready(name)
        if (running := self._models.get(name)) is not None:
            running.use(None)

    def _refresh(self, name: str) -> None:
        if (running := self._models.get(name)) is not None and running.model is not None:
            running.model.session.set_confidence(running.model.floor())

    def _collect(self, running: _Running) -> None:
        """Waits for the model's oldest batch and hands its results on; an error of the model ends the model alone."""
        submitted, outcome = running.finish()
        frames = submitted.batch.frames
        if isinstance(outcome, ModelError):
            self._frames.drop_taken(frames)
            submitted.model.failed(outcome)
            return
        results = [
            self._result(frame, found, submitted, outcome)
            for frame, found in zip(frames, outcome.detections, strict=True)
        ]
        self._deliver(results, frames)

    def _result(self, frame: Frame, found: Detections, submitted: _Submitted, outcome: BatchDetections) -> FrameResult:
        latency = Latency(
            queue=submitted.at - frame.captured_mono,
            preprocess=outcome.preprocess,
            detector=outcome.detector,
            postprocess=outcome.postprocess,
        )
        self._stats.processed(
            frame.camera,
            queue=latency.queue,
            preprocess=latency.preprocess,
            detector=latency.detector,
            postprocess=latency.postprocess,
        )
        return FrameResult(
            camera=frame.camera,
            sequence=frame.sequence,
            width=frame.image.width,
            height=frame.image.height,
            captured_at=frame.captured_at,
            captured_mono=frame.captured_mono,
            stream_time=frame.stream_time,
            picture=frame.picture,
            passes=frame.passes,
            live=frame.live,
            model=submitted.batch.model,
            labels=submitted.model.labels,
            detections=found,
            batch=len(submitted.batch.frames),
            latency=latency,
        )


def _pixels(picture: Picture) -> Pixels:
    """As sessions take it."""
    return picture.pixels if isinstance(picture, BgrPicture) else picture

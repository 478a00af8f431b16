"""The one thread that owns the lanes: batches in, results out, as many on their way as the lanes have slots."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue

from daemon.records import Batch, Frame, FrameResult, Latency
from daemon.stats import Stats
from daemon.system.thread_scheduling import request_short_slice
from daemon.system.worker_thread import WorkerThread
from engines.errors import EngineError
from engines.records import BatchDetections, Detections, Lane, Ticket

_IDLE = 0.25  # seconds; how long the thread sleeps at most before it looks whether it should stop
# How often it looks for results while it could still start a batch: what takes long may be told later.
_LOOK_AT_LEAST = 1e-4  # seconds
_LOOK = 1 / 32  # of the time that the oldest batch has taken


@dataclass(frozen=True, slots=True)
class OpenModel:
    """A model that needs nothing more than a lane."""

    name: str
    labels: tuple[str, ...]
    open_lane: Callable[[], Lane]
    """raises EngineError; called in the thread that will own the lane"""
    floor: Callable[[], float]
    """least score of the candidates in results, 0 to 1; asked when the lane is open, and again after `refresh`"""
    opened: Callable[[Lane | EngineError], None]
    """told, in the thread, of the lane, or why there is none; then one that the model had goes on"""


@dataclass(frozen=True, slots=True)
class _Submitted:
    batch: Batch
    ticket: Ticket
    at: float
    """time.monotonic()"""


@dataclass(slots=True)
class _Running:
    model: OpenModel
    lane: Lane
    pending: deque[_Submitted] = field(default_factory=deque)
    """in the order submitted, which is the order that results leave in"""


class InferenceThread:
    """Takes batches, runs them and hands the results on, together with their frames."""

    def __init__(
        self,
        name: str,
        take: Callable[[float, Collection[str]], Batch | None],
        deliver: Callable[[Sequence[FrameResult], Sequence[Frame]], None],
        stats: Stats,
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        """`name` of the thread; `take` waits so many seconds for a batch, but none of the models that it is told.

        `deliver` takes over the results of a batch, with every candidate above the model's floor, and their frames,
        which it releases. `on_fatal` gets the exception that ends the thread.
        """
        self._take = take
        self._deliver = deliver
        self._stats = stats
        self._asked: SimpleQueue[Callable[[], None]] = SimpleQueue()
        """what the thread is to do between two batches"""
        self._models: dict[str, _Running] = {}
        self._stop = threading.Event()
        self._thread = WorkerThread(name, self._run, on_fatal)

    def open(self, model: OpenModel) -> None:
        """Has the thread open a lane, between two batches, and close the one that the model had; returns at once."""
        self._asked.put(partial(self._open, model))

    def close(self, name: str) -> None:
        """Has the thread close a model's lane, which gets no more batches; returns at once."""
        self._asked.put(partial(self._close, name))

    def refresh(self, name: str) -> None:
        """Has the thread ask again for a model's floor; returns at once."""
        self._asked.put(partial(self._refresh, name))

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
            while not self._stop.is_set():
                while not self._asked.empty():
                    self._collect_all()  # opening may take seconds, which no result should wait for
                    self._asked.get()()
                since = self._collect_done()
                wait = _IDLE if since is None else max(_LOOK_AT_LEAST, (time.monotonic() - since) * _LOOK)
                batch = self._take(wait, self._full())
                if batch is not None:
                    self._submit(batch)
            self._collect_all()
        finally:
            for model in self._models.values():
                model.lane.close()

    def _submit(self, batch: Batch) -> None:
        model = self._models[batch.model]
        at = time.monotonic()
        model.pending.append(_Submitted(batch, model.lane.submit([f.image for f in batch.frames]), at))
        self._stats.batch()

    def _full(self) -> list[str]:
        """The models whose slots are all taken."""
        return [name for name, model in self._models.items() if len(model.pending) >= model.lane.slots]

    def _collect_done(self) -> float | None:
        """Hands on what needs no waiting; when the oldest was started of those that are still on their way."""
        for model in self._models.values():
            while model.pending and model.lane.is_done(model.pending[0].ticket):
                self._collect(model)
        return min((model.pending[0].at for model in self._models.values() if model.pending), default=None)

    def _collect_all(self) -> None:
        for model in self._models.values():
            while model.pending:
                self._collect(model)

    def _open(self, model: OpenModel) -> None:
        try:
            lane = model.open_lane()
        except EngineError as error:
            model.opened(error)
            return
        self._close(model.name)
        self._models[model.name] = _Running(model, lane)
        self._refresh(model.name)
        model.opened(lane)

    def _close(self, name: str) -> None:
        if name in self._models:
            self._models.pop(name).lane.close()

    def _refresh(self, name: str) -> None:
        if (running := self._models.get(name)) is not None:
            running.lane.set_confidence(running.model.floor())

    def _collect(self, model: _Running) -> None:
        """Waits for the model's oldest batch and hands its results on."""
        submitted = model.pending.popleft()
        outcome = model.lane.collect(submitted.ticket)
        frames = submitted.batch.frames
        results = [
            self._result(frame, found, model.model.labels, submitted, outcome)
            for frame, found in zip(frames, outcome.detections, strict=True)
        ]
        self._deliver(results, frames)

    def _result(
        self, frame: Frame, found: Detections, labels: tuple[str, ...], submitted: _Submitted, outcome: BatchDetections
    ) -> FrameResult:
        height, width = frame.image.shape[:2]
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
            width=width,
            height=height,
            captured_at=frame.captured_at,
            captured_mono=frame.captured_mono,
            stream_time=frame.stream_time,
            live=frame.live,
            model=submitted.batch.model,
            labels=labels,
            detections=found,
            batch=len(submitted.batch.frames),
            latency=latency,
        )

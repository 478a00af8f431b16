"""The one thread that owns the lanes: batches in, results out, as many on their way as the lanes have slots."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from queue import SimpleQueue

import numpy as np

from daemon.records import Batch, Frame, FrameResult, Latency
from daemon.stats import Stats
from engines.errors import EngineError
from engines.records import BatchDetections, Detections, Lane, Ticket

_IDLE = 0.25  # seconds; how long the thread sleeps at most before it looks whether it should stop


@dataclass(frozen=True, slots=True)
class OpenModel:
    """A model that needs nothing more than a lane."""

    name: str
    labels: tuple[str, ...]
    open_lane: Callable[[], Lane]
    """raises EngineError; called in the thread that will own the lane"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be published of what a camera's model finds."""

    confidence: float
    """least score, 0 to 1"""
    labels: tuple[int, ...] | None
    """class indices; None: all"""

    def of(self, found: Detections) -> Detections:
        """The wanted ones."""
        keep = found.scores >= self.confidence
        if self.labels is not None:
            keep &= np.isin(found.labels, self.labels)
        if keep.all():
            return found
        return Detections(found.boxes[keep], found.scores[keep], found.labels[keep])


@dataclass(frozen=True, slots=True)
class _Running:
    lane: Lane
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Submitted:
    batch: Batch
    ticket: Ticket
    at: float
    """time.monotonic()"""


class InferenceThread:
    """Takes batches, runs them and hands the results on; releases the frames."""

    def __init__(
        self,
        name: str,
        take: Callable[[float], Batch | None],
        wanted: Mapping[str, Wanted],
        deliver: Callable[[FrameResult], None],
        opened: Callable[[str, Lane | EngineError], None],
        stats: Stats,
        fail: Callable[[BaseException], None],
    ) -> None:
        """`name` of the thread; `take` waits for a batch for so many seconds; `wanted` of each camera.

        `opened` is told, in the thread, of the lane of each model, or why it has none; `fail` of unforeseen errors.
        """
        self._take = take
        self._wanted = wanted
        self._deliver = deliver
        self._opened = opened
        self._stats = stats
        self._fail = fail
        self._to_open: SimpleQueue[OpenModel] = SimpleQueue()
        self._models: dict[str, _Running] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def open(self, model: OpenModel) -> None:
        """Has the thread open a lane, between two batches; returns at once."""
        self._to_open.put(model)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Asks the thread to end; returns at once."""
        self._stop.set()

    def join(self, timeout: float) -> bool:
        """Whether the thread has ended within `timeout` seconds."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        pending: deque[_Submitted] = deque()
        try:
            while not self._stop.is_set():
                if not self._to_open.empty():
                    while pending:  # opening may take seconds, which no result should wait for
                        self._collect(pending.popleft())
                    self._open(self._to_open.get())
                batch = self._take(0.0 if pending else _IDLE)
                if batch is not None:
                    lane = self._models[batch.model].lane
                    while sum(s.batch.model == batch.model for s in pending) >= lane.slots:
                        self._collect(pending.popleft())
                    at = time.monotonic()
                    pending.append(_Submitted(batch, lane.submit([f.image for f in batch.frames]), at))
                    self._stats.batch()
                elif pending:
                    self._collect(pending.popleft())
            while pending:
                self._collect(pending.popleft())
        except BaseException as error:
            self._fail(error)
        finally:
            for model in self._models.values():
                model.lane.close()

    def _open(self, model: OpenModel) -> None:
        try:
            lane = model.open_lane()
        except EngineError as error:
            self._opened(model.name, error)
            return
        self._models[model.name] = _Running(lane, model.labels)
        self._opened(model.name, lane)

    def _collect(self, submitted: _Submitted) -> None:
        model = self._models[submitted.batch.model]
        outcome = model.lane.collect(submitted.ticket)
        for frame, detections in zip(submitted.batch.frames, outcome.detections, strict=True):
            self._hand_on(frame, detections, submitted, outcome)

    def _hand_on(self, frame: Frame, found: Detections, submitted: _Submitted, outcome: BatchDetections) -> None:
        height, width = frame.image.shape[:2]
        frame.release()
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
        self._deliver(
            FrameResult(
                camera=frame.camera,
                sequence=frame.sequence,
                width=width,
                height=height,
                captured_at=frame.captured_at,
                captured_mono=frame.captured_mono,
                stream_time=frame.stream_time,
                live=frame.live,
                model=submitted.batch.model,
                labels=self._models[submitted.batch.model].labels,
                detections=self._wanted[frame.camera].of(found),
                batch=len(submitted.batch.frames),
                latency=latency,
            )
        )

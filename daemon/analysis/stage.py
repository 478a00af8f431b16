"""The stage between inference and publishing: makes events, and decides what is published and photographed."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from daemon.analysis.areas import Totals
from daemon.analysis.events import EventDetector
from daemon.analysis.filter import DetectionFilter, filters_of
from daemon.analysis.message_rate import MessageRateLimiter
from daemon.analysis.object_tracking import ObjectTracking
from daemon.analysis.picture_requests import PictureOutputs, PictureRequests
from daemon.config.schema import Config
from daemon.records import CameraStatus, Drop, Event, Frame, FrameResult
from daemon.records.followed import Followed
from daemon.records.object_events import ObjectEvent
from daemon.records.objects import LineState, ZoneState
from daemon.stats import CameraCount, DaemonCount, Stats
from daemon.system.credits import Credits
from daemon.system.thread_scheduling import request_short_slice
from daemon.system.wall_clock import SET, WallClock
from daemon.system.worker_thread import WorkerThread
from engines.pictures import Picture

_INBOX = 256  # results that wait
_AT_ONCE = 16  # of what waits; what was taken makes no room for what is newer


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where everything goes; called in the thread `analysis`, and none of these may wait."""

    results: Callable[[Sequence[FrameResult]], None]
    """of frames, filtered; after the events of these frames"""
    event: Callable[[Event], None]
    pictures: PictureOutputs
    area: Callable[[ZoneState | LineState], None]
    """how a zone or a line is now; after the events that have made it so"""


@dataclass(frozen=True, slots=True, eq=False)
class _Inferred:
    """One frame and all that the model has found in it."""

    result: FrameResult
    frame: Frame


@dataclass(frozen=True, slots=True)
class _ResetLines:
    camera: str | None
    """None: all"""


_Work = _Inferred | CameraStatus | Config | _ResetLines


class AnalysisStage:
    """Owns the thread `analysis` and every frame from inference until it is released.

    Its inbox keeps the order of results, states and configurations; no caller waits. Of live cameras the oldest result
    makes room for the newest and is counted; everything else is kept: credits bound what is not live.
    """

    def __init__(
        self,
        config: Config,
        outputs: Outputs,
        stats: Stats,
        credit: Credits,
        on_fatal: Callable[[BaseException], None],
        totals: Mapping[str, Totals] | None = None,
        shard: int = 0,
    ) -> None:
        """`credit` gets back what was taken for results that end here; `on_fatal` gets unexpected errors.

        `totals`: crossings of lines by camera, counted before the daemon was started. `shard`: see ObjectTracking.
        """
        self._outputs = outputs
        self._stats = stats
        self._credits = credit
        self._thread = WorkerThread("analysis", self._run, on_fatal)
        self._changed = threading.Condition()
        """guards what follows"""
        self._inbox: deque[_Work] = deque([config])
        self._live = 0
        """results of live cameras in it"""
        self._closed = False
        # of the thread alone
        self._filters: Mapping[str, DetectionFilter] = {}
        self._limiter = MessageRateLimiter(config.mqtt.every)
        self._events = EventDetector(config.events)
        self._tracking = ObjectTracking(totals or {}, shard)
        self._pictures = PictureRequests(config, outputs.pictures)
        self._clock = WallClock()
        self._set_at = -math.inf
        """time.monotonic() at which the system clock was found set"""
        self._finished: list[FrameResult] = []
        """results that are still to be handed on"""

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Asks the thread to end when it has done what waits; returns at once."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def join(self, timeout: float) -> bool:
        """Whether the thread has ended within `timeout` seconds."""
        return self._thread.join(timeout)

    def waiting(self) -> int:
        """Results, states and configurations that wait for the thread."""
        return len(self._inbox)

    def results(self, results: Sequence[FrameResult], frames: Sequence[Frame]) -> None:
        """Takes over results with every candidate, and their frames; returns at once."""
        with self._changed:
            for result, frame in zip(results, frames, strict=True):
                if result.live and self._live >= _INBOX:
                    self._drop_oldest()
                self._live += result.live
                self._inbox.append(_Inferred(result, frame))
            self._changed.notify()

    def camera_status(self, status: CameraStatus) -> None:
        """Takes a camera's new state; returns at once."""
        self._put(status)

    def configure(self, config: Config) -> None:
        """Takes a new configuration, which holds for what comes after it; returns at once."""
        self._put(config)

    def reset_lines(self, camera: str | None) -> None:
        """Resets the totals of lines, of one camera or all; returns at once."""
        self._put(_ResetLines(camera))

    def _put(self, item: CameraStatus | Config | _ResetLines) -> None:
        with self._changed:
            self._inbox.append(item)
            self._changed.notify()

    def _drop_oldest(self) -> None:
        """Makes room for a result of a live camera, of which there is one; with the lock."""
        oldest = next(one for one in self._inbox if isinstance(one, _Inferred) and one.result.live)
        self._inbox.remove(oldest)
        self._live -= 1
        self._stats.dropped(oldest.result.camera, Drop.ANALYSIS_QUEUE)
        oldest.frame.release()

    def _run(self) -> None:
        request_short_slice()
        while (work := self._take()) is not None:
            for item in work:
                if seconds := self._clock.correction():
                    self._tracking.correct(seconds)
                    self._set_at = time.monotonic()
                if isinstance(item, _Inferred):
                    try:
                        self._analyse(self._timed(item.result), item.frame.image)
                    finally:
                        item.frame.release()
                elif isinstance(item, CameraStatus):
                    self._emit(self._events.camera_status(self._timed_status(item)))
                    self._tracking.camera_status(item)
                elif isinstance(item, _ResetLines):
                    self._tracking.reset_lines(item.camera)
                else:
                    self._configure(item)
                self._tell_areas()
            self._emit(self._tracking.look_away())
            self._tell_areas()
            self._hand_on()
            self._stats.count_daemon(DaemonCount.RESULTS_ANALYSED, sum(isinstance(item, _Inferred) for item in work))
        self._emit(self._tracking.end())
        self._tell_areas()

    def _take(self) -> list[_Work] | None:
        """Waits for work, or until there is something else to do; None at the end."""
        due = self._tracking.due()
        with self._changed:
            wait = None if due is None else max(0.0, due - time.monotonic())
            self._changed.wait_for(lambda: self._inbox or self._closed, wait)
            if self._closed and not self._inbox:
                return None
            work = [self._inbox.popleft() for _ in range(min(_AT_ONCE, len(self._inbox)))]
            self._live -= sum(isinstance(item, _Inferred) and item.result.live for item in work)
            return work

    def _configure(self, config: Config) -> None:
        enabled = [name for name, camera in config.cameras.items() if camera.enabled]
        self._filters = filters_of(config)
        self._limiter.keep(enabled)
        self._pictures.configure(config)
        for name in config.cameras:
            if config.tracked(name) is None:
                self._stats.untracked(name)
        events: list[Event] = self._events.configure(config.events, config.cameras, enabled)
        self._emit([*events, *self._tracking.configure(config)])

    def _analyse(self, result: FrameResult, image: Picture) -> None:
        if (published := self._filters.get(result.camera)) is None:  # the camera has just been removed
            if not result.live:
                self._credits.give_back_all()
            return
        told, objects = self._track(result)
        found = published.of(result, objects)
        if not self._limiter.allows(found):
            self._stats.count(CameraCount.SKIPPED, result.camera)
            found = replace(found, skipped=True)
        self._emit([*self._events.result(found), *told])
        self._pictures.result(found, image)
        self._finished.append(found)

    def _timed(self, result: FrameResult) -> FrameResult:
        """The result, with its time by the system clock as it is now where that was set since the capture."""
        true = self._true(result.captured_at, result.captured_mono)
        return result if true == result.captured_at else replace(result, captured_at=true)

    def _timed_status(self, status: CameraStatus) -> CameraStatus:
        """Likewise."""
        return replace(status, changed_at=self._true(status.changed_at, status.changed_mono))

    def _true(self, utc: float, mono: float | None) -> float:
        """A time, where that of the monotonic clock shows that it is of the system clock before it was set."""
        if mono is None or mono > self._set_at or abs(self._clock.at(mono) - utc) < SET:
            return utc
        return self._clock.at(mono)

    def _track(self, result: FrameResult) -> tuple[list[ObjectEvent], Sequence[Followed | None] | None]:
        """See ObjectTracking.result; counts what it took."""
        began = time.perf_counter()
        told, objects = self._tracking.result(result)
        if objects is not None and (counts := self._tracking.counts(result.camera)) is not None:
            self._stats.tracked(result.camera, counts, time.perf_counter() - began)
        return told, objects

    def _emit(self, events: Sequence[Event]) -> None:
        if not events:
            return
        self._hand_on()  # an event comes after the results of earlier frames, and before that of its own
        for event in events:
            self._outputs.event(replace(event, clock=self._clock.offset))
            self._pictures.event(event)

    def _tell_areas(self) -> None:
        for state in self._tracking.areas():
            self._outputs.area(state)

    def _hand_on(self) -> None:
        if self._finished:
            self._outputs.results(self._finished)
            self._finished = []

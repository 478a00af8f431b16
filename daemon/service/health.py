"""Judges from the stages' counters whether the pipeline is live.

The pipeline is live if no stage with pending work is idle for longer than a limit. Inference has pending work when a
camera with a ready model delivers frames; analysis, publishing and `mqtt.formats` when inference delivers results.
What inference has begun is pending also where the cameras have gone away since, as they do where the GPU hangs that
decodes them. Cameras that are offline, and files whose frames wait for their model, the broker or a later stage, are
no pending work. A built model that is being loaded excuses no other; it hangs itself after five minutes where no other
takes frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

LOAD_WITHIN = 300.0
"""seconds that loading a built model may take"""


@dataclass(frozen=True, slots=True)
class HealthCounters:
    """Counters of the stages since the daemon started."""

    captured: Mapping[str, int]
    """frames captured, by camera, of cameras that are streaming"""
    expected: Mapping[str, int]
    """the same, only of cameras whose model is ready"""
    inferred: int
    """frames that inference has finished: processed or dropped as too old"""
    processed: Mapping[str, int]
    """frames that went through their models and that `mqtt.every` does not leave out, by camera"""
    handed_on: Mapping[str, int]
    """frames whose results publishing was given, by camera: what shards have processed is known half a second later"""
    published: int
    """results that publishing has finished, plus attempts to send while the network had no room"""
    analysed: int | None = None
    """results that analysis has finished; None: it is not judged"""
    formatted: int | None = None
    """results that `mqtt.formats` have finished; None: no format is on"""
    patience: float = 0.0
    """seconds; the longest time after which a streaming camera without frames must have changed its state"""
    loading: bool = False
    """a built model is being loaded"""
    held: bool = False
    """files wait for room in later stages; their cameras are not in the counters above"""
    busy_for: float = 0.0
    """seconds since inference has begun what it does now; 0: it waits for frames"""
    unready: frozenset[str] = frozenset()
    """files that wait for a model which is not ready, and give no frames meanwhile"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the pipeline is live, and why."""

    healthy: bool
    reason: str
    """one sentence"""


@dataclass
class _Stage:
    """How long one stage has been idle with pending work."""

    done: int = -1
    base: dict[str, int] = field(default_factory=dict)
    """work requested when the stage last made progress, by camera"""
    since: float | None = None

    def idle_for(self, now: float, asked: Mapping[str, int], done: int) -> float:
        """Seconds of idleness; `asked` counts the work requested, `done` the work finished."""
        moved = done != self.done
        self.done = done
        self.base = {camera: count if moved else self.base.get(camera, count) for camera, count in asked.items()}
        if not any(count > self.base[camera] for camera, count in asked.items()):
            self.since = None
        elif self.since is None:
            self.since = now
        return 0.0 if self.since is None else now - self.since


class Health:
    """Judges periodically; not thread-safe."""

    def __init__(self, limit: float) -> None:
        """A stage hangs after `limit` seconds."""
        self._limit = limit
        self._inference = _Stage()
        self._analysis = _Stage()
        self._publishing = _Stage()
        self._formats = _Stage()
        self._inferred = -1
        self._inferred_at = 0.0
        self._captured: Mapping[str, int] = {}
        self._captured_at = 0.0
        self._loading_since: float | None = None

    def judge(self, now: float, counters: HealthCounters) -> Verdict:
        """`now` is time.monotonic(). Call it several times within the limit."""
        loading = self._loading(now, counters)
        inference = self._inference.idle_for(now, counters.expected, counters.inferred)
        analysis = self._idle(now, self._analysis, counters.processed, counters.analysed)
        publishing = self._publishing.idle_for(now, counters.handed_on, counters.published)
        formats = self._idle(now, self._formats, counters.handed_on, counters.formatted)
        busy = self._busy(now, counters)
        capture = self._still(now, {n: of for n, of in counters.captured.items() if n not in counters.unready})
        wrong = None
        if analysis > self._limit:  # first, because a hang there is the cause of the others
            wrong = f"analysis has done nothing for {analysis:.0f} s, though results wait"
        elif formats > self._limit:
            wrong = f"mqtt.formats has done nothing for {formats:.0f} s, though results wait"
        elif publishing > self._limit:
            wrong = f"publishing has done nothing for {publishing:.0f} s, though results wait"
        elif inference > self._limit:
            wrong = f"inference has done nothing for {inference:.0f} s, though frames come"
        elif busy > self._limit:
            wrong = f"inference has been at the same frames for {busy:.0f} s"
        elif capture > self._limit + counters.patience:
            wrong = f"no frame for {capture:.0f} s, though cameras count as streaming"
        elif loading is not None and loading > LOAD_WITHIN:
            wrong = f"a model has been loading for {loading:.0f} s, and no other takes frames"
        return Verdict(True, _why_healthy(counters, loading is not None)) if wrong is None else Verdict(False, wrong)

    def _idle(self, now: float, stage: _Stage, asked: Mapping[str, int], done: int | None) -> float:
        return 0.0 if done is None else stage.idle_for(now, asked, done)

    def _loading(self, now: float, counters: HealthCounters) -> float | None:
        """Seconds for which cameras have waited for a model that is being loaded; None: they do not."""
        if not counters.loading or counters.expected or not counters.captured:
            self._loading_since = None
        elif self._loading_since is None:
            self._loading_since = now
        return None if self._loading_since is None else now - self._loading_since

    def _busy(self, now: float, counters: HealthCounters) -> float:
        """Seconds for which inference has been at something without progress, whether cameras stream or not."""
        if counters.inferred != self._inferred:
            self._inferred, self._inferred_at = counters.inferred, now
        return min(counters.busy_for, now - self._inferred_at)

    def _still(self, now: float, captured: Mapping[str, int]) -> float:
        """Seconds without a new frame although cameras are streaming."""
        if captured != self._captured or not captured:
            self._captured, self._captured_at = captured, now
        return now - self._captured_at


def _why_healthy(counters: HealthCounters, loads: bool) -> str:
    if loads:
        return "a model is being loaded"
    if not counters.captured and counters.held:
        return "files wait for the broker or for another format"
    if not counters.captured:
        return "no camera is streaming"
    return "frames move" if counters.expected else "cameras stream, and wait for their models"

"""Whether frames move: judged from what the stages count, with the time passed in.

A stage hangs if it owes something and has done nothing for too long. Inference owes what cameras give whose model is
ready, publishing owes what inference gives; nothing is owed for cameras that are away, and nothing while a built model
is being loaded, which the inference thread does itself. Nothing is owed either for files whose frames wait because
later stages, or the broker, have no room for them; that excuses no other camera.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

LOAD_WITHIN = 300.0
"""seconds for which loading a model explains that inference stands still"""


@dataclass(frozen=True, slots=True)
class HealthCounters:
    """What the stages have counted since the daemon started."""

    captured: Mapping[str, int]
    """frames of each camera that is streaming"""
    expected: Mapping[str, int]
    """the same, of those alone whose model is ready"""
    inferred: int
    """frames that the inference thread is done with, whatever became of them"""
    processed: Mapping[str, int]
    """frames of each camera whose results are to be published"""
    published: int
    """results that the publishing thread is done with, and its attempts to send while the network had no room"""
    patience: float = 0.0
    """seconds that the slowest of the streaming cameras may take for a frame before it no longer counts as streaming"""
    loading: bool = False
    """a model that is built is being loaded"""
    held: bool = False
    """frames of files wait for room in later stages; these cameras are not in the counts above"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether frames move, or need not."""

    healthy: bool
    reason: str
    """one sentence for a person"""


@dataclass
class _Stage:
    """How long one stage has owed something without doing anything."""

    done: int = -1
    base: dict[str, int] = field(default_factory=dict)
    """what had been asked of it when it last did something, by camera"""
    since: float | None = None

    def idle_for(self, now: float, asked: Mapping[str, int], done: int) -> float:
        """Seconds; `asked` only of cameras that it can owe something."""
        moved = done != self.done
        self.done = done
        self.base = {camera: count if moved else self.base.get(camera, count) for camera, count in asked.items()}
        if not any(count > self.base[camera] for camera, count in asked.items()):
            self.since = None
        elif self.since is None:
            self.since = now
        return 0.0 if self.since is None else now - self.since


class Health:
    """Judges again and again; not thread-safe."""

    def __init__(self, limit: float) -> None:
        """A stage hangs after `limit` seconds."""
        self._limit = limit
        self._inference = _Stage()
        self._publishing = _Stage()
        self._captured: Mapping[str, int] = {}
        self._captured_at = 0.0
        self._loading_since: float | None = None

    def judge(self, now: float, counters: HealthCounters) -> Verdict:
        """`now` is time.monotonic(). To be called several times within the limit."""
        loads = self._loads(now, counters.loading)
        inference = self._inference.idle_for(now, {} if loads else counters.expected, counters.inferred)
        publishing = self._publishing.idle_for(now, counters.processed, counters.published)
        capture = self._still(now, {} if loads else counters.captured)
        wrong = None
        if publishing > self._limit:  # first, because inference may wait for it
            wrong = f"publishing has done nothing for {publishing:.0f} s, though results wait"
        elif inference > self._limit:
            wrong = f"inference has done nothing for {inference:.0f} s, though frames come"
        elif capture > self._limit + counters.patience:
            wrong = f"no frame for {capture:.0f} s, though cameras count as streaming"
        return Verdict(True, _why_healthy(counters, loads)) if wrong is None else Verdict(False, wrong)

    def _loads(self, now: float, loading: bool) -> bool:
        if not loading:
            self._loading_since = None
        elif self._loading_since is None:
            self._loading_since = now
        return self._loading_since is not None and now - self._loading_since <= LOAD_WITHIN

    def _still(self, now: float, captured: Mapping[str, int]) -> float:
        """Seconds for which cameras have been streaming without one new frame."""
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

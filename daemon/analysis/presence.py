"""Whether objects of a class are present: frames in, appeared and gone events out. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from daemon.config.events import Events as Settings
from daemon.records import Event, EventType


class Presence:
    """Presence of every class at one camera.

    A class has appeared when `appear_frames` frames in a row had it, and is gone when the frames of `gone_after`
    seconds did not. Only frames count: while none come, no class appears or goes.
    """

    def __init__(self, camera: str, settings: Settings) -> None:
        self._camera = camera
        self._settings = settings
        self._in_a_row: dict[str, int] = {}
        """by class that has not appeared: the latest frames in a row that had it"""
        self._missed_since: dict[str, float | None] = {}
        """by class that is present: time of the first of the latest frames without it; None: the latest has it"""

    def update(self, now: float, time: float, counts: Mapping[str, int]) -> list[Event]:
        """Takes one frame: when it was captured (monotonic and UTC, seconds) and the objects in it by class."""
        wanted = self._settings.labels
        counts = {label: n for label, n in counts.items() if n > 0 and (wanted is None or label in wanted)}
        return self._gone(now, time, counts) + self._appeared(time, counts)

    def end(self, time: float) -> list[Event]:
        """The camera is no longer processed, since `time` (UTC, seconds): every class that was present is gone."""
        return [Event(self._camera, EventType.GONE, time, label, 0) for label in self._missed_since]

    def _gone(self, now: float, time: float, counts: Mapping[str, int]) -> list[Event]:
        events = []
        for label, since in list(self._missed_since.items()):
            if label in counts:
                self._missed_since[label] = None
            elif since is None:
                self._missed_since[label] = now
            elif now - since >= self._settings.gone_after:
                del self._missed_since[label]
                events.append(Event(self._camera, EventType.GONE, time, label, 0))
        return events

    def _appeared(self, time: float, counts: Mapping[str, int]) -> list[Event]:
        new = {label: self._in_a_row.get(label, 0) + 1 for label in counts if label not in self._missed_since}
        there = [label for label, frames in new.items() if frames >= self._settings.appear_frames]
        for label in there:
            del new[label]
            self._missed_since[label] = None
        self._in_a_row = new
        return [Event(self._camera, EventType.APPEARED, time, label, counts[label]) for label in there]

"""Results and states of all cameras in, events out. Pure but for the clock."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection

from daemon.analysis.presence import Presence
from daemon.config.events import Events as Settings
from daemon.records import CameraState, CameraStatus, Event, EventType, FrameResult, Reason


class EventDetector:
    """Of all cameras of a device. Not thread-safe."""

    def __init__(self, settings: Settings) -> None:
        """Without a camera; see `configure`."""
        self._settings = settings
        self._presence: dict[str, Presence] = {}
        """of cameras that are processed"""
        self._states: dict[str, tuple[CameraState, Reason | None]] = {}

    def configure(self, settings: Settings, cameras: Collection[str], enabled: Collection[str]) -> list[Event]:
        """Takes another configuration; GONE for what was at cameras that it removes, disables or treats differently."""
        same = settings.model_copy(update={"snapshot": self._settings.snapshot}) == self._settings
        self._settings = settings
        ended = [name for name in self._presence if not same or name not in enabled]
        events = [event for name in ended for event in self._presence.pop(name).end(time.time())]
        self._presence = {name: self._presence.get(name) or Presence(name, settings) for name in enabled}
        self._states = {name: state for name, state in self._states.items() if name in cameras}
        return events

    def result(self, result: FrameResult) -> list[Event]:
        """Takes what was detected in one frame; a camera's frames come in their order."""
        if (presence := self._presence.get(result.camera)) is None:
            return []  # it has just been disabled
        counts = Counter(result.labels[index] for index in result.detections.labels.tolist())
        return presence.update(result.captured_mono, result.captured_at, counts)

    def camera_status(self, status: CameraStatus) -> list[Event]:
        """Takes a camera's state; another detail of the same state is no event."""
        state = status.state, status.reason
        if self._states.get(status.camera) == state:
            return []
        self._states[status.camera] = state
        kind = EventType.CAMERA_STATE
        return [Event(status.camera, kind, status.changed_at, state=status.state, reason=status.reason)]

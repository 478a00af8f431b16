"""The stage of events: results and states of all cameras in, what has happened out."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable

from daemon.config.events import Events as Settings
from daemon.events.presence import Presence
from daemon.records import CameraState, CameraStatus, Event, EventType, FrameResult, Reason


class EventStage:
    """Thread-safe; every method is short enough for the frame path. `tell` gets each event and must not wait."""

    def __init__(self, settings: Settings, cameras: Iterable[str], tell: Callable[[Event], None]) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        """guards what follows, and the order of a camera's events"""
        self._settings = settings
        self._presence = {name: Presence(name, settings) for name in cameras}
        self._states: dict[str, tuple[CameraState, Reason | None]] = {}

    def set_cameras(self, settings: Settings, cameras: Iterable[str]) -> None:
        """From now on these; what was seen by those that stay is remembered, if what is told of it is the same."""
        with self._lock:
            same = settings == self._settings
            self._settings = settings
            kept = self._presence if same else {}
            self._presence = {name: kept.get(name) or Presence(name, settings) for name in cameras}
            self._states = {name: state for name, state in self._states.items() if name in self._presence}

    def result(self, result: FrameResult) -> None:
        """Takes what was seen in one frame; a camera's frames come in their order."""
        counts = Counter(result.labels[index] for index in result.detections.labels.tolist())
        with self._lock:
            if (presence := self._presence.get(result.camera)) is None:
                return  # the camera has just been removed
            for event in presence.see(result.captured_mono, result.captured_at, counts):
                self._tell(event)

    def camera_status(self, status: CameraStatus) -> None:
        """Takes a camera's state; another detail of the same state is no event."""
        state = status.state, status.reason
        with self._lock:
            if self._states.get(status.camera) != state:
                self._states[status.camera] = state
                self._tell(
                    Event(status.camera, EventType.CAMERA_STATE, status.since, state=status.state, reason=status.reason)
                )

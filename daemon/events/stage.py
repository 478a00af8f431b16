"""The stage of events: results and states of all cameras in, what has happened out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

import numpy as np

from daemon.config.events import Events as Settings
from daemon.events.presence import Presence
from daemon.records import CameraState, CameraStatus, Event, EventType, FrameResult, Reason


class EventStage:
    """Thread-safe; every method is short enough for the frame path. `tell` gets each event and must not wait."""

    def __init__(self, settings: Settings, cameras: Iterable[str], tell: Callable[[Event], None]) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        """guards what follows, and the order of a camera's events"""
        self._presence = {name: Presence(name, settings) for name in cameras}
        self._states: dict[str, tuple[CameraState, Reason | None]] = {}

    def result(self, result: FrameResult) -> None:
        """Takes what was seen in one frame; a camera's frames come in their order."""
        ids, numbers = np.unique(result.detections.labels, return_counts=True)
        counts = {result.labels[i]: n for i, n in zip(ids.tolist(), numbers.tolist(), strict=True)}
        with self._lock:
            for event in self._presence[result.camera].see(result.captured_mono, result.captured_at, counts):
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

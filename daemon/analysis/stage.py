"""The stage of events: results and states of all cameras in, what has happened out."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping

from daemon.analysis.presence import Presence
from daemon.config.events import Events as Settings
from daemon.config.schema import Camera
from daemon.records import CameraState, CameraStatus, Event, EventType, FrameResult, Reason


class EventStage:
    """Thread-safe; every method is short enough for the frame path. `tell` gets each event and must not wait."""

    def __init__(self, settings: Settings, cameras: Mapping[str, Camera], tell: Callable[[Event], None]) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        """guards what follows, and the order of a camera's events"""
        self._settings = settings
        self._presence: dict[str, Presence] = {}
        """of cameras that are looked at"""
        self._states: dict[str, tuple[CameraState, Reason | None]] = {}
        self.set_cameras(settings, cameras)

    def set_cameras(self, settings: Settings, cameras: Mapping[str, Camera]) -> None:
        """From now on these. What is there at one that is no longer looked at, or is looked at otherwise, is gone."""
        with self._lock:
            same = settings.model_copy(update={"snapshot": self._settings.snapshot}) == self._settings
            self._settings = settings
            watched = [name for name, camera in cameras.items() if camera.enabled]
            for name in [name for name in self._presence if not same or name not in watched]:
                for event in self._presence.pop(name).end(time.time()):
                    self._tell(event)
            self._presence = {name: self._presence.get(name) or Presence(name, settings) for name in watched}
            self._states = {name: state for name, state in self._states.items() if name in cameras}

    def result(self, result: FrameResult) -> None:
        """Takes what was seen in one frame; a camera's frames come in their order."""
        counts = Counter(result.labels[index] for index in result.detections.labels.tolist())
        with self._lock:
            if (presence := self._presence.get(result.camera)) is None:
                return  # the camera is no longer looked at
            for event in presence.see(result.captured_mono, result.captured_at, counts):
                self._tell(event)

    def camera_status(self, status: CameraStatus) -> None:
        """Takes a camera's state; another detail of the same state is no event."""
        state = status.state, status.reason
        with self._lock:
            if self._states.get(status.camera) != state:
                self._states[status.camera] = state
                at, kind = status.changed_at, EventType.CAMERA_STATE
                self._tell(Event(status.camera, kind, at, state=status.state, reason=status.reason))

"""Objects at all cameras of a device: results, states and configurations in, events and who is in which zone out."""

from __future__ import annotations

import itertools
import secrets
import string
import time
from collections.abc import Mapping

import numpy as np

from daemon.analysis.area_states import AreaStates
from daemon.analysis.areas import Totals
from daemon.analysis.filter import confidence_of
from daemon.analysis.geometry import View
from daemon.analysis.scene import Scene, SceneSettings, Seen
from daemon.config.schema import Config
from daemon.records import CameraState, CameraStatus, FrameResult
from daemon.records.followed import Followed, ObjectCounts
from daemon.records.object_events import ObjectEvent
from daemon.records.objects import LeftReason, LineState, ZoneState

_WHOLE = (0.0, 0.0, 1.0, 1.0)
_IN_FLIGHT = 2.0
"""seconds without a frame after which none of a camera that does not stream is in flight any more"""
_RANDOM = 6
"""letters at the end of an identifier"""
_PER_START = 1 << 20
"""numbers between those of one second's start and those of the next"""
_STEP = 64
"""between two numbers of one process; so many processes give numbers side by side"""
_ALPHABET = string.ascii_lowercase + string.digits
_VIEW_KEYS = ("source", "model", "rotate", "crop", "resize")
"""keys of a camera that objects do not outlive"""


class ObjectTracking:
    """Not thread-safe. A camera that is not tracked costs nothing."""

    def __init__(self, totals: Mapping[str, Totals], shard: int = 0) -> None:
        """`totals` of lines by camera, that go on; without a camera until `configure`.

        `shard`: number of this one among those of the daemon, so that no two objects have the same number.
        """
        self._totals = {camera: dict(of) for camera, of in totals.items()}
        self._numbers = itertools.count(int(time.time()) * _PER_START + shard, _STEP)
        self._config: Config | None = None
        self._settings: dict[str, SceneSettings] = {}
        """of cameras that are tracked"""
        self._scenes: dict[str, Scene] = {}
        """of those that have given a frame"""
        self._shapes: dict[str, tuple[tuple[str, ...], int, int]] = {}
        """class names, width and height that a scene is of"""
        self._passes: dict[str, tuple[int, int]] = {}
        """of cameras that play a recording: the pass through it and the number of the last frame"""
        self._leaving: dict[str, float] = {}
        """cameras that do not stream, with the time.monotonic() at which no more of their frames are expected"""
        self._lost: set[str] = set()
        """cameras that do not stream and whose objects have left; frames that come late begin no others"""
        self._states = AreaStates()

    def configure(self, config: Config) -> list[ObjectEvent]:
        """Takes another configuration; what becomes of the objects that are there."""
        before, self._config = self._config, config
        self._settings = {
            name: settings
            for name, camera in config.cameras.items()
            if camera.enabled and (settings := _settings(config, name)) is not None
        }
        events: list[ObjectEvent] = []
        now = time.time()
        for name in list(self._scenes):
            if name not in config.cameras or not config.cameras[name].enabled:
                events += self._end(name, LeftReason.DISABLED, now)
            elif before is None or name not in self._settings or _is_another_view(before, config, name):
                events += self._end(name, LeftReason.RECONFIGURED, now)
            else:
                events += self._scenes[name].reconfigure(self._settings[name], now)
        areas = {name: _settings(config, name) for name in config.cameras}
        zones = {(name, zone) for name, of in areas.items() if of is not None for zone in of.zones}
        lines = {(name, line) for name, of in areas.items() if of is not None for line in of.lines}
        for name in [name for name in self._totals if name not in config.cameras]:
            del self._totals[name]
        for name, totals in self._totals.items():
            for key in [key for key in totals if (name, key[0]) not in lines]:
                del totals[key]
        self._lost &= set(config.cameras)
        self._states.configure(zones, lines)
        for name in config.cameras:
            self._changed(name, at_once=True)
        return events

    def result(self, result: FrameResult) -> tuple[list[ObjectEvent], tuple[Followed | None, ...] | None]:
        """Takes a frame with every candidate; what has happened, and the object that each candidate is, if any.

        None in place of these where the camera is not tracked, or its objects have left because it was lost. A
        camera's frames come in their order.
        """
        if (settings := self._settings.get(result.camera)) is None or result.camera in self._lost:
            return [], None
        events: list[ObjectEvent] = []
        if result.camera in self._leaving:
            self._leaving[result.camera] = time.monotonic() + _IN_FLIGHT
        scene = self._scenes.get(result.camera)
        shape = result.labels, result.width, result.height
        if scene is None or self._shapes[result.camera] != shape:
            events += self._end(result.camera, LeftReason.RECONFIGURED, result.captured_at)
            scene = self._begin(result, settings)
            self._shapes[result.camera] = shape
        elif self._begins_again(result):
            events += scene.begin_again(result.captured_at)
        if result.passes is not None:
            self._passes[result.camera] = result.passes, result.sequence
        seen = self._see(scene, result)
        events += seen.events
        if events or self._states.is_waiting(result.camera):
            self._changed(result.camera)
        return events, tuple(None if each is None else scene.followed(each) for each in seen.objects)

    def correct(self, seconds: float) -> None:
        """The system clock was set by so much."""
        for scene in self._scenes.values():
            scene.correct(seconds)

    def counts(self, camera: str) -> ObjectCounts | None:
        """How many objects a camera has; None where there is nothing to say."""
        scene = self._scenes.get(camera)
        return None if scene is None else scene.counts()

    def camera_status(self, status: CameraStatus) -> None:
        """Takes a camera's state: where it does not stream, its objects leave once the frames in flight have come."""
        if status.state is CameraState.STREAMING:
            self._leaving.pop(status.camera, None)
            self._lost.discard(status.camera)
        elif status.camera in self._scenes:
            self._leaving.setdefault(status.camera, time.monotonic() + _IN_FLIGHT)

    def due(self) -> float | None:
        """When `look_away` is to be called, time.monotonic(); None where there is no need."""
        return min(self._leaving.values(), default=None)

    def look_away(self) -> list[ObjectEvent]:
        """What has left at cameras of which no frame comes any more."""
        now = time.monotonic()
        events: list[ObjectEvent] = []
        for camera in [camera for camera, until in self._leaving.items() if until <= now]:
            del self._leaving[camera]
            self._lost.add(camera)
            if (scene := self._scenes.get(camera)) is not None:
                events += scene.look_away(time.time())
                self._changed(camera, at_once=True)
        return events

    def end(self) -> list[ObjectEvent]:
        """The daemon stops."""
        now = time.time()
        events = [event for name in list(self._scenes) for event in self._end(name, LeftReason.SHUTDOWN, now)]
        for name in self._settings:
            self._changed(name, at_once=True)
        return events

    def reset_lines(self, camera: str | None) -> None:
        """Resets totals, of one camera or all."""
        for name, totals in self._totals.items():
            if camera in (None, name):
                totals.clear()
        self._states.reset(camera)
        for name in self._settings:
            if camera in (None, name):
                self._changed(name, at_once=True)

    def areas(self) -> list[ZoneState | LineState]:
        """What is to be told of zones and lines since the last time."""
        return self._states.take()

    def _begin(self, result: FrameResult, settings: SceneSettings) -> Scene:
        assert self._config is not None  # noqa: S101  a camera is tracked because a configuration says so
        crop = self._config.cameras[result.camera].crop or _WHOLE
        view = View(result.width, result.height, crop)
        totals = self._totals.setdefault(result.camera, {})
        scene = Scene(result.camera, settings, result.labels, view, self._identify, totals)
        self._scenes[result.camera] = scene
        return scene

    def _begins_again(self, result: FrameResult) -> bool:
        """Whether a recording shows its beginning again, or the camera was opened again to play it."""
        if result.passes is None or (last := self._passes.get(result.camera)) is None:
            return False
        return result.passes != last[0] or result.sequence < last[1]

    def _see(self, scene: Scene, result: FrameResult) -> Seen:
        timed = result.live or result.stream_time is None
        now = result.captured_mono if timed else result.stream_time
        found = result.detections
        return scene.see(
            found.boxes.astype(np.float64),
            found.scores.astype(np.float64),
            found.labels.astype(np.int64),
            now or 0.0,
            result.captured_at,
            result.sequence,
        )

    def _end(self, camera: str, reason: LeftReason, now: float) -> list[ObjectEvent]:
        self._leaving.pop(camera, None)
        self._passes.pop(camera, None)
        if (scene := self._scenes.pop(camera, None)) is None:
            return []
        events = scene.end(reason, now)
        self._changed(camera, at_once=True)
        return events

    def _changed(self, camera: str, *, at_once: bool = False) -> None:
        """Notes how the zones and lines of a camera are now."""
        scene = self._scenes.get(camera)
        occupancy = {} if scene is None else scene.occupancy()
        self._states.note(camera, occupancy, self._totals.get(camera, {}), time.monotonic(), at_once=at_once)

    def _identify(self, first_seen: float) -> tuple[str, int]:
        letters = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))
        return f"{first_seen:.6f}-{letters}", next(self._numbers)


def _settings(config: Config, camera: str) -> SceneSettings | None:
    """What is looked for at a camera; None where it is not tracked."""
    if (tracking := config.tracking_of(camera)) is None:
        return None
    own = config.cameras[camera]
    return SceneSettings(tracking, confidence_of(config, camera), own.labels, own.objects, own.zones, own.lines)


def _is_another_view(before: Config, after: Config, camera: str) -> bool:
    old, new = before.cameras.get(camera), after.cameras[camera]
    if old is None or before.tracking_of(camera) != after.tracking_of(camera):
        return True
    return any(getattr(old, key) != getattr(new, key) for key in _VIEW_KEYS)

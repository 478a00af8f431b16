"""What is published of objects, zones and lines, beside the messages of frames."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import replace

from daemon.config.camera import Camera
from daemon.config.schema import Config
from daemon.mqtt.topics import DeviceTopics
from daemon.outbox.sender import OutboxSender
from daemon.publish import event_payloads
from daemon.publish.device_states import Retain
from daemon.publish.object_ledger import ObjectLedger
from daemon.records import DaemonInfo, Event, EventType
from daemon.records.object_events import ObjectEvent
from daemon.records.objects import Direction, LineState, ZoneState
from daemon.system.wall_clock import SET, WallClock, offset


class ObjectPublisher:
    """For the thread that makes events, but for `configure` and `info`, which replace what it looks at."""

    def __init__(
        self, config: Config, info: DaemonInfo, topics: DeviceTopics, outbox: OutboxSender, retain: Retain
    ) -> None:
        self._config = config
        self._info = info
        self._device = config.device
        self._topics = topics
        self._outbox = outbox
        self._retain = retain
        self._ledger = ObjectLedger(outbox.kept)
        self._clock = WallClock()
        self._lines: dict[tuple[str, str], LineState] = {}
        """as published, as the next"""
        self._zones: dict[tuple[str, str], ZoneState] = {}

    def totals(self) -> Mapping[str, dict[tuple[str, Direction, str], int]]:
        """Crossings of lines that were counted so far: by camera, and by line, direction and label."""
        return self._ledger.totals()

    def finish(self) -> list[ObjectEvent]:
        """At the start, before anything else: what an earlier run has left open; forgets lines that are gone since."""
        cameras = self._config.cameras
        for camera, line in self._ledger.lines():
            if self._config.tracked(camera) is None or line not in cameras[camera].lines:
                self.area(LineState(camera, line, None))
        return self._ledger.unfinished(time.time())

    def left_open(self, cameras: Collection[str]) -> list[ObjectEvent]:
        """How the objects of these cameras end, whose process has ended without a word."""
        return self._ledger.unfinished(time.time(), cameras)

    def stale(self, kept: Mapping[str, bytes]) -> Mapping[str, bytes | None]:
        """What an outbox that could not be read at the start must forget: totals that were reset; in any thread."""
        earlier = ObjectLedger(kept)
        lines = earlier.lines() & self._ledger.lines()
        return {key: None for camera, line in lines for key in earlier.forget_line(camera, line)}

    def late(self, kept: Mapping[str, bytes]) -> list[ObjectEvent]:
        """What an earlier run has left open, where that could not be read at the start; in any thread.

        But for zones that are crowded again since.
        """
        found = ObjectLedger(kept).unfinished(time.time())
        again = [each for each in found if each.type is EventType.ZONE_CLEARED and self._ledger.has_crowded(each)]
        return [each for each in found if each not in again]

    def configure(self, config: Config) -> None:
        """From now on this is published of."""
        self._config = config

    def info(self, info: DaemonInfo) -> None:
        """Takes what the device now is and runs."""
        self._info = info

    def event(self, event: Event) -> None:
        """Puts it into the outbox, with what it changes about what must not be forgotten."""
        clock = offset() if event.clock is None else event.clock
        was_set = offset() - clock
        age = time.time() - event.time - (was_set if abs(was_set) >= SET else 0.0)
        since = time.monotonic() - max(0.0, age)
        kept = self._ledger.note(event) if isinstance(event, ObjectEvent) else {}
        tracking = self._config.tracked(event.camera) is not None
        payload = event_payloads.event(self._device, event, tracking=tracking)
        self._outbox.put(self._topics.camera(event.camera).events.name, payload, since, kept, clock)

    def area(self, state: ZoneState | LineState) -> None:
        """Retains how a zone or a line is now."""
        if isinstance(state, ZoneState):
            self._zone(state)
        else:
            self._line(state)

    def follow_clock(self) -> None:
        """Corrects the times of zones and lines if the system clock was set; to be called often."""
        if not (seconds := self._clock.correction()):
            return
        if corrected := self._ledger.correct(seconds):
            self._outbox.keep(corrected)
        for line in list(self._lines.values()):
            self._line(replace(line, begins=False))
        for zone in list(self._zones.values()):
            self._zone(zone)

    def _zone(self, state: ZoneState) -> None:
        topic = self._topics.camera(state.camera).zone(state.zone).name
        if state.occupancy is None:
            self._zones.pop((state.camera, state.zone), None)
            self._retain(topic, b"", None)
            return
        camera = self._config.cameras.get(state.camera)
        if camera is not None and (zone := camera.zones.get(state.zone)) is not None:
            labels = self._labels(camera, zone.labels)
            payload = event_payloads.zone(self._device, state, state.occupancy, labels, time.time())
            self._zones[state.camera, state.zone] = state
            self._retain(topic, payload, state.camera)

    def _line(self, state: LineState) -> None:
        topic = self._topics.camera(state.camera).line(state.line).name
        begins = state.totals is None or state.begins
        if begins and (forgotten := self._ledger.forget_line(state.camera, state.line)):
            self._outbox.keep(forgotten)
        if state.totals is None:
            self._lines.pop((state.camera, state.line), None)
            self._retain(topic, b"", None)
            return
        camera = self._config.cameras.get(state.camera)
        if camera is not None and (line := camera.lines.get(state.line)) is not None:
            since, kept = self._ledger.line(state.camera, state.line, self._clock.at(time.monotonic()))
            if kept:
                self._outbox.keep(kept)
            labels = self._labels(camera, line.labels)
            payload = event_payloads.line(self._device, state, since, labels, time.time())
            self._lines[state.camera, state.line] = state
            self._retain(topic, payload, state.camera)

    def _labels(self, camera: Camera, wanted: tuple[str, ...] | None) -> tuple[str, ...]:
        """Classes that can be in a zone or cross a line."""
        model = self._info.models.get(camera.model)
        found = model.labels if model is not None else (wanted or camera.labels or ())
        for chosen in (camera.labels, wanted):
            if chosen is not None:
                found = tuple(label for label in found if label in chosen)
        return found

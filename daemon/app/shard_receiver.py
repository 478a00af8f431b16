"""What the daemon does with what the processes of shards tell it, and with what one leaves open that ends."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from daemon.analysis.areas import Totals
from daemon.app.remote_shard import RemoteShard
from daemon.app.shard import Reports, Shared
from daemon.app.shard_messages import Beat, HasRoom, Models, PictureFilled, Results, Snapshot
from daemon.media.snapshots import Subject
from daemon.records import CameraState, CameraStatus, Event, EventType, FrameResult, Reason
from daemon.records.object_events import ObjectEvent
from daemon.records.objects import LineState, Occupancy, ZoneState
from daemon.system.log_states import state_of

_log = logging.getLogger("ospreyd")


@dataclass(frozen=True, slots=True)
class Destinations:
    """Where everything goes; called in the thread `shards`, and none of these may wait."""

    results: Callable[[Sequence[FrameResult]], None]
    event: Callable[[Event], None]
    area: Callable[[ZoneState | LineState], None]
    picture: Callable[[Subject, bytes], None]
    live_picture: Callable[[PictureFilled], None]
    totals: Callable[[], Mapping[str, Totals]]
    """crossings of lines so far, by camera"""
    left_open: Callable[[Collection[str]], Sequence[ObjectEvent]]
    """how the objects of cameras end whose process has ended without a word"""


class ShardReceiver:
    """For the thread `shards`."""

    def __init__(self, shared: Shared, outputs: Destinations, reports: Reports) -> None:
        self._shared = shared
        self._outputs = outputs
        self._reports = reports
        self._told_lost: set[str] = set()
        """cameras whose last event of their state says that their process has ended"""

    def take(self, shard: RemoteShard, message: object) -> None:
        """Takes a message of a shard."""
        match message:
            case Results():
                self._take_results(shard, message.unpacked())
            case Event():
                shard.note(message)
                self._outputs.event(message)
            case CameraStatus():
                self._told_lost.discard(message.camera)
                with self._shared.lock:
                    if message.camera in shard.config.cameras:  # and has not been removed since
                        self._reports.camera_status(message)
            case Models():
                with self._shared.lock:
                    shard.infos, shard.failed = message.infos, message.failed
                    self._reports.models_changed()
            case Beat():
                self._take_beat(shard, message)
            case _:
                self._hand_on(shard, message)

    def _hand_on(self, shard: RemoteShard, message: object) -> None:
        match message:
            case ZoneState(camera, name, state) | LineState(camera, name, state):
                area = type(message), camera, name
                (shard.areas.discard if state is None else shard.areas.add)(area)
                self._outputs.area(message)
            case Snapshot():
                self._outputs.picture(message.subject, message.jpeg)
            case PictureFilled():
                self._outputs.live_picture(message)
            case logging.LogRecord():
                logging.getLogger(message.name).handle(message)

    def _take_results(self, shard: RemoteShard, results: Sequence[FrameResult]) -> None:
        for result in results:
            if not result.live:
                self._shared.credits.take()
                shard.held += 1
        self._outputs.results(results)

    def _take_beat(self, shard: RemoteShard, beat: Beat) -> None:
        if not shard.begun:
            shard.begun = True
            _log.info("shard %d: runs", shard.number, extra=state_of("shard", str(shard.number)))
        shard.heard(beat)
        self._shared.stats.add(beat.counted, shard.config.cameras)

    def forget_areas(self, shard: RemoteShard) -> None:
        """Says that zones and lines are gone which the shard, that is about to start, no longer has."""
        config = shard.config
        for kind, camera, name in sorted(shard.areas, key=str):
            own = config.cameras[camera] if config.tracked(camera) is not None else None
            if own is None or name not in (own.zones if kind is ZoneState else own.lines):
                shard.areas.discard((kind, camera, name))
                self._outputs.area(kind(camera, name, None))

    def tell_room(self, shard: RemoteShard) -> bool:
        """Asks for more where its results were taken, and later stages have room for others; whether it did."""
        if not shard.held or self._shared.credits.room() <= 0:
            return False
        held, shard.held = shard.held, 0
        shard.send(HasRoom(held))
        return True

    def end(self, shard: RemoteShard, had: Collection[str], why: str) -> None:
        """What the process would have told of the cameras that it had, had it been stopped."""
        outputs, now, mono = self._outputs, time.time(), time.monotonic()
        with self._shared.lock:
            config = shard.config
        gone = [Event(camera, EventType.GONE, now, label, 0) for camera, label in sorted(shard.present)]
        shard.present.clear()
        for event in [*outputs.left_open(had), *gone]:
            outputs.event(event)
        for name, camera in config.cameras.items():
            self._shared.stats.untracked(name)
            was_told = name in self._told_lost
            if camera.enabled:
                for zone in camera.zones if config.tracked(name) is not None else ():
                    outputs.area(ZoneState(name, zone, Occupancy()))
                self._told_lost.add(name)
                status = CameraStatus(name, CameraState.OFFLINE, Reason.SHARD_FAILED, why, mono, now, mono)
            elif was_told:  # it was disabled while its process was away
                self._told_lost.remove(name)
                status = CameraStatus(name, CameraState.DISABLED, None, "", mono, now, mono)
            else:
                continue
            if camera.enabled is not was_told:
                outputs.event(Event(name, EventType.CAMERA_STATE, now, state=status.state, reason=status.reason))
            with self._shared.lock:
                if name in shard.config.cameras:
                    self._reports.camera_status(status)

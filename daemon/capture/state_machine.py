"""What state a camera is in after what happened to it: the state machine of docs/cameras.md, pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from daemon.records import CameraState, Reason


class Happening(str, Enum):
    """What can happen to a camera."""

    SWITCHED_OFF = "switched-off"
    """the configuration says that it is not to be opened"""
    STARTED = "started"
    """it is to be opened for the first time"""
    NOT_OPENED = "not-opened"
    """an attempt to open it failed"""
    FRAME = "frame"
    """a frame was grabbed"""
    LOST = "lost"
    """a stream that had begun gives no more frames and is to be opened anew"""
    ENDED = "ended"
    """a recording is over, at its end or where it is damaged, and is not opened again"""
    HANGS = "hangs"
    """a call into OpenCV has not come back in its time; nothing is tried before it does"""


@dataclass(frozen=True, slots=True)
class Standing:
    """A state and what explains it."""

    state: CameraState
    reason: Reason | None = None
    """None while streaming, connecting for the first time or disabled"""


_SILENT = (Reason.TIMEOUT, Reason.FROZEN)  # there is a connection, but what comes is nothing, or nothing new

_ALWAYS = {
    Happening.SWITCHED_OFF: Standing(CameraState.DISABLED),
    Happening.STARTED: Standing(CameraState.CONNECTING),
    Happening.FRAME: Standing(CameraState.STREAMING),
}


def after(now: Standing | None, what: Happening, reason: Reason | None = None) -> Standing:
    """Where a camera stands after `what`, of which `reason` says why; `now` is None before anything has happened.

    An attempt that fails is not told from the one before, so a state lasts until something really changes.
    """
    if what in _ALWAYS:
        return _ALWAYS[what]
    if what is Happening.LOST:
        return Standing(CameraState.STALLED if reason in _SILENT else CameraState.CONNECTING, reason)
    if what is not Happening.HANGS:
        return Standing(CameraState.OFFLINE, reason)
    if now is None or now.state is CameraState.CONNECTING:
        return Standing(CameraState.OFFLINE, reason)
    return Standing(CameraState.STALLED, reason) if now.state is CameraState.STREAMING else now

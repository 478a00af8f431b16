"""The state machine of docs/cameras.md: a camera's state after each trigger; pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from daemon.records import CameraState, Reason


class CameraTrigger(str, Enum):
    """What can change a camera's state."""

    DISABLED = "disabled"
    """the configuration disables it"""
    STARTED = "started"
    """it is to be opened for the first time"""
    OPEN_FAILED = "open-failed"
    """an attempt to open it failed"""
    FRAME = "frame"
    """a frame was grabbed"""
    LOST = "lost"
    """a stream that had begun gives no more frames and is to be reconnected"""
    ENDED = "ended"
    """a recording is over, at its end or where it is damaged, and is not opened again"""
    CALL_HANGS = "call-hangs"
    """a call into OpenCV exceeded its time limit; nothing is tried before it returns"""


@dataclass(frozen=True, slots=True)
class CameraCondition:
    """A state and its explanation."""

    state: CameraState
    reason: Reason | None = None
    """None while streaming, connecting for the first time or disabled"""


_SILENT = (Reason.TIMEOUT, Reason.FROZEN)  # the connection stands, but brings nothing or nothing new

_UNCONDITIONAL = {
    CameraTrigger.DISABLED: CameraCondition(CameraState.DISABLED),
    CameraTrigger.STARTED: CameraCondition(CameraState.CONNECTING),
    CameraTrigger.FRAME: CameraCondition(CameraState.STREAMING),
}


def next_state(now: CameraCondition | None, trigger: CameraTrigger, reason: Reason | None = None) -> CameraCondition:
    """The condition after `trigger`, which `reason` explains; `now` is None before the first trigger.

    Repeated failures give the same condition, so a state lasts until something really changes.
    """
    if trigger in _UNCONDITIONAL:
        return _UNCONDITIONAL[trigger]
    if trigger is CameraTrigger.LOST:
        return CameraCondition(CameraState.STALLED if reason in _SILENT else CameraState.CONNECTING, reason)
    if trigger is not CameraTrigger.CALL_HANGS:
        return CameraCondition(CameraState.OFFLINE, reason)
    if now is None or now.state is CameraState.CONNECTING:
        return CameraCondition(CameraState.OFFLINE, reason)
    return CameraCondition(CameraState.STALLED, reason) if now.state is CameraState.STREAMING else now

"""What the log says about cameras."""

from __future__ import annotations

import logging

from daemon.capture.sources.base import SourceError
from daemon.records import CameraStatus, Reason
from daemon.system.log_states import state_of
from daemon.system.threads import TooFewThreadsError

_log = logging.getLogger("ospreyd.capture")


def log_status(status: CameraStatus) -> None:
    """Logs what state a camera is in from now on."""
    fine = status.reason is Reason.ENDED or (status.reason is None and not status.detail)
    level = logging.INFO if fine else logging.WARNING
    what = f"{status.state.value} ({status.reason.value})" if status.reason else status.state.value
    explained = f": {status.detail}" if status.detail else ""
    _log.log(level, "camera %s: %s%s", status.camera, what, explained, extra=state_of("camera", status.camera, what))


def as_source_error(camera: str, error: Exception) -> SourceError:
    """What to report of what a source raised; what no source is to raise is logged with its traceback."""
    if isinstance(error, SourceError):
        return error
    if isinstance(error, TooFewThreadsError):
        return SourceError(Reason.NO_RESOURCES, str(error))
    kind = type(error).__name__
    _log.error("camera %s: unexpected %s in its source; please report it", camera, kind, exc_info=error)
    if isinstance(error, MemoryError):
        return SourceError(Reason.NO_RESOURCES, "there is not enough memory for the camera's pictures")
    # The error's own text may hold credentials, and a status is published.
    return SourceError(Reason.NO_VIDEO, f"ospreyd cannot read this source: unexpected {kind}; the log says where")

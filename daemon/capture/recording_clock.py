"""The clock by which the frames of a recording are delivered at the rate at which it was recorded."""

from __future__ import annotations

import math
import threading
import time

_LATE = 1.0  # seconds behind a recording's clock beyond which the clock is reset instead of caught up with
_GAP = 10.0  # seconds between two frames of a recording, at most; a longer gap resets the clock


class RecordingClock:
    """For one thread."""

    def __init__(self) -> None:
        self._began = math.inf
        """time.monotonic() at which the first frame was due"""

    def wait(self, due: float, stopping: threading.Event) -> None:
        """Until the recording shows the frame that is `due` seconds after its first, or until it is to stop."""
        now = time.monotonic()
        wait = self._began + due - now
        if not -_LATE <= wait <= _GAP:
            self._began = now - due
        elif wait > 0:
            stopping.wait(wait)

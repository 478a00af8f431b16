"""Says in the log how many events were dropped, at most once a minute."""

from __future__ import annotations

import logging
import time

_log = logging.getLogger("ospreyd.outbox")
_EVERY = 60.0  # seconds between two warnings


class DropLog:
    """For one thread at a time."""

    def __init__(self) -> None:
        self._unlogged = 0
        self._logged_at = -_EVERY

    def add(self, dropped: int) -> None:
        """So many more were dropped."""
        self._unlogged += dropped

    def write(self, closing: bool) -> None:
        """Logs them if it is time for that, and at the end."""
        now = time.monotonic()
        if self._unlogged and (closing or now - self._logged_at >= _EVERY):
            text = "the outbox dropped its %d oldest events because of max_mb or max_age_hours"
            _log.warning(text, self._unlogged)
            self._unlogged, self._logged_at = 0, now

"""How the connection to the broker is, and since when."""

from __future__ import annotations

import time
from collections.abc import Callable

import orjson

from daemon.mqtt.link import LinkState
from daemon.records.wire import rfc3339


class BrokerState:
    """For one thread."""

    def __init__(self, read: Callable[[], LinkState]) -> None:
        self._read = read
        self._state: LinkState | None = None
        self._since = 0.0
        """UTC, seconds since the epoch"""

    def look(self) -> bool:
        """Whether it is another than when it was last looked at."""
        state = self._read()
        if state == self._state:
            return False
        self._state, self._since = state, time.time()
        return True

    def line(self) -> bytes:
        """For the web process, JSON."""
        state = self._state or self._read()
        told = {"connected": state.connected, "since": rfc3339(self._since or time.time()), "detail": state.detail}
        return orjson.dumps({"kind": "broker", **told})

"""What holds now and is published retained: info, states of cameras, settings, zones and lines."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import orjson

from daemon.publish.channels import CHANNELS, Channel

_KINDS = {"info": "info", "camera-status": "camera", "setting": "setting", "zone": "zone", "line": "line"}
"""by channel, the `kind` of its lines"""


class RetainedStates:
    """Thread-safe."""

    def __init__(self, prefix: str, device: str, changed: Callable[[bytes], None]) -> None:
        """`changed` gets each new line, in any thread."""
        self._prefix = prefix
        self._root = f"{prefix}/{device}/"
        self._changed = changed
        self._lock = threading.Lock()
        self._lines: dict[str, bytes] = {}
        """by topic"""

    def take(self, topic: str, payload: bytes) -> None:
        """Takes what is retained from now on; an empty payload: nothing is."""
        if not topic.startswith(self._root):
            return
        found = ((one, one.parameters(self._prefix, topic)) for one in CHANNELS if one.name in _KINDS)
        channel, names = next(((one, names) for one, names in found if names is not None), (None, None))
        if channel is None or names is None:
            return
        line = _line(channel, payload) if payload else _gone(channel, names)
        with self._lock:
            if payload:
                self._lines[topic] = line
            elif self._lines.pop(topic, None) is None:
                return
            self._changed(line)

    def lines(self) -> Iterator[bytes]:
        """All that holds now; JSON."""
        with self._lock:
            return iter(list(self._lines.values()))


def _line(channel: Channel, payload: bytes) -> bytes:
    return b'{"kind":"%b",%b' % (_KINDS[channel.name].encode(), payload[1:])


def _gone(channel: Channel, names: dict[str, str]) -> bytes:
    of = {name: value for name, value in names.items() if name != "device"}
    return orjson.dumps({"kind": "gone", "of": _KINDS[channel.name], **of})

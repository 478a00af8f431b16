"""What is different about a message that is sent later than it was made: the mark of a backlog, and its times."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import orjson

_TIMES = frozenset(
    ("time", "first_seen", "last_seen", "frame_time", "snapshot_time", "start_time", "end_time", "stationary_since")
)
"""keys of times of day, in all formats: RFC 3339 or seconds since the epoch"""


def as_sent(payload: bytes, set_by: float, *, late: bool) -> bytes:
    """The message for the broker; `set_by`: seconds by which the system clock was set since it was made, 0: not."""
    payload = corrected(payload, set_by) if set_by else payload
    return replayed(payload) if late else payload


def replayed(payload: bytes) -> bytes:
    """The message with `"replayed": true`; unchanged if its format has no such field."""
    message = orjson.loads(payload)
    if isinstance(message, dict) and "replayed" in message:
        return orjson.dumps({**message, "replayed": True})
    return payload


def corrected(payload: bytes, seconds: float) -> bytes:
    """The message with its times moved by so many seconds, by which the system clock was set since it was made."""
    return orjson.dumps(_moved(orjson.loads(payload), seconds))


def _moved(value: Any, seconds: float) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: _time(each, seconds) if key in _TIMES else _moved(each, seconds) for key, each in value.items()}


def _time(value: Any, seconds: float) -> Any:
    if isinstance(value, (int, float)):
        return value + seconds
    if not isinstance(value, str):
        return value
    moved = datetime.fromisoformat(value.replace("Z", "+00:00")) + timedelta(seconds=seconds)
    return moved.isoformat(timespec="microseconds")[:-6] + "Z"  # in place of +00:00

"""Marks messages of a backlog."""

from __future__ import annotations

import orjson


def replayed(payload: bytes) -> bytes:
    """The message with `"replayed": true`; unchanged if its format has no such field."""
    message = orjson.loads(payload)
    if isinstance(message, dict) and "replayed" in message:
        return orjson.dumps({**message, "replayed": True})
    return payload

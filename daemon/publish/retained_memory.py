"""Which topics the broker may retain of this device, kept in the outbox from one run to the next. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from enum import IntEnum

import orjson

_PREFIX = "retained/"  # of the keys in the outbox
_GROUPS = 64  # values that the topics are divided among: with many classes and cameras there are 100,000 topics


class Trace(IntEnum):
    """What the broker may still have of a topic."""

    CLEARED = 0
    """nothing, if a clearing message that was sent has arrived"""
    RETAINED = 1


class RetainedMemory:
    """Not thread-safe."""

    def __init__(self, kept: Mapping[str, bytes]) -> None:
        """`kept` by earlier runs; other keys are ignored."""
        self._groups: dict[str, dict[str, int]] = {
            key: orjson.loads(zlib.decompress(value)) for key, value in kept.items() if key.startswith(_PREFIX)
        }
        self._changed: set[str] = set()

    def topics(self, trace: Trace) -> list[str]:
        """Those with this trace."""
        return [topic for group in self._groups.values() for topic, noted in group.items() if noted == trace]

    def trace(self, topic: str) -> Trace | None:
        """What was noted of a topic last."""
        noted = self._groups.get(_key(topic), {}).get(topic)
        return None if noted is None else Trace(noted)

    def note(self, topic: str, trace: Trace | None) -> None:
        """None: the broker has nothing of it."""
        if self.trace(topic) == trace:
            return
        key = _key(topic)
        group = self._groups.setdefault(key, {})
        if trace is None:
            del group[topic]
        else:
            group[topic] = trace.value
        self._changed.add(key)

    def changes(self) -> dict[str, bytes | None]:
        """What the outbox has to keep since the last call; None: to be deleted."""
        changed, self._changed = self._changed, set()
        groups = {key: self._groups[key] for key in changed}
        return {key: zlib.compress(orjson.dumps(group), 1) if group else None for key, group in groups.items()}


def knows_topics(kept: Mapping[str, bytes]) -> bool:
    """Whether an earlier run has kept any."""
    return any(key.startswith(_PREFIX) for key in kept)


def retained_topics(kept: Mapping[str, bytes]) -> list[str]:
    """What the broker may have of earlier runs."""
    return RetainedMemory(kept).topics(Trace.RETAINED)


def _key(topic: str) -> str:
    return f"{_PREFIX}{zlib.crc32(topic.encode()) % _GROUPS}"

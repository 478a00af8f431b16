"""What the tests of commands share: topics of a device with two cameras, and actions that are only recorded."""

from __future__ import annotations

import threading

from daemon.control.commands import CommandScope
from daemon.control.handler import CommandActions
from daemon.mqtt.topics import DeviceTopics

ROOT = "site/ospreyd/gate"
TOPICS = DeviceTopics.of("site/ospreyd", "gate")
SCOPE = CommandScope(frozenset({"front", "yard"}), frozenset({"default"}))


class Recorder:
    """Names of the actions that were called; `error` is raised by those that change the daemon."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.error: Exception | None = None
        self.blocked = threading.Event()
        """cleared, it holds up what changes the daemon"""
        self.blocked.set()
        self.reached = threading.Event()
        """it has been asked"""

    def apply(self) -> None:
        """See CommandActions.apply."""
        self.reached.set()
        self.blocked.wait(60)
        if self.error is not None:
            raise self.error
        self.calls.append("apply")

    def reload(self) -> str:
        """See CommandActions.reload."""
        self.calls.append("reload")
        return "read again"

    def build_engine(self, model: str) -> None:
        """See CommandActions.build_engine."""
        self.calls.append(f"build {model}")

    def snapshot(self, camera: str, annotated: bool) -> None:
        """See CommandActions.snapshot."""
        self.calls.append(f"snapshot {camera} {annotated}")

    def publish_stats(self) -> None:
        """See CommandActions.publish_stats."""
        self.calls.append("stats")

    @property
    def actions(self) -> CommandActions:
        """All of them."""
        return CommandActions(self.apply, self.reload, self.build_engine, self.snapshot, self.publish_stats)

"""What the tests of commands share: names, actions that are only recorded, and a publisher that takes commands."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from daemon.config.schema import Config
from daemon.control.commands import CommandScope
from daemon.control.handler import CommandActions, CommandHandler
from daemon.control.inbox import Inbox
from daemon.control.overrides import SettingsFile
from daemon.control.parse import CommandParser, command_subscription
from daemon.control.running_config import RunningConfig
from daemon.control.worker import CommandWorker
from daemon.media.snapshots import Snapshots
from daemon.mqtt.topics import DeviceTopics
from daemon.publish.publisher import Publisher
from daemon.stats import Stats
from tests.daemon.publishing import INFO, no_thread_left

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

    def reset_lines(self, camera: str | None) -> None:
        """See CommandActions.reset_lines."""
        self.calls.append(f"reset {camera}")

    @property
    def actions(self) -> CommandActions:
        """All of them."""
        return CommandActions(
            self.apply, self.reload, self.build_engine, self.snapshot, self.publish_stats, self.reset_lines
        )


class Commanded:
    """A publisher that takes commands; what they have the daemon do is recorded, but for snapshots and statistics."""

    def __init__(self, settings: Config, kept: SettingsFile | None) -> None:
        self.recorder = Recorder()
        self.failures: list[BaseException] = []
        self.running = RunningConfig(settings, kept)
        self.inbox = Inbox()
        topics = DeviceTopics.of(settings.mqtt.prefix, settings.device)
        subscription = command_subscription(topics, self.inbox.put)
        fail = self.failures.append
        self.publisher = Publisher(self.running.config, INFO, Stats(), fail, subscription)
        self.snapshots = Snapshots(self.publisher.picture, self.publisher.largest_picture, fail)
        recorder = self.recorder
        actions = CommandActions(
            recorder.apply,
            recorder.reload,
            recorder.build_engine,
            self.snapshots.request,
            self.publisher.stats_now,
            recorder.reset_lines,
        )
        parser = CommandParser(topics, self.running.scope, self.publisher.request, self.publisher.reserved)
        execute = CommandHandler(self.running, actions).execute
        self.worker = CommandWorker(settings.device, self.inbox, parser, execute, self.publisher.send, fail)

    @property
    def config(self) -> Config:
        """The file, and over it what commands have set."""
        return self.running.config


@contextmanager
def commanded(settings: Config, kept: SettingsFile | None = None) -> Iterator[Commanded]:
    """One that runs; it must not fail."""
    made = Commanded(settings, kept)
    with no_thread_left():
        made.publisher.start()
        made.running.start(made.publisher.setting)
        made.snapshots.start()
        made.worker.start()
        try:
            yield made
        finally:
            made.worker.stop()
            made.snapshots.stop()
            assert made.worker.join(20)
            assert made.snapshots.join(20)
            made.publisher.stop(5)
    assert not made.failures

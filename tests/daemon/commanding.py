"""What the tests of commands share: names, actions that are only recorded, and a publisher that takes commands."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from daemon.config.schema import Config
from daemon.control.command_worker import CommandWorker
from daemon.control.commands import CommandScope
from daemon.control.handler import CommandActions, CommandHandler
from daemon.control.inbox import Inbox
from daemon.control.overrides import SettingsFile
from daemon.control.parse import CommandParser, command_subscription
from daemon.control.running_config import RunningConfig
from daemon.media.snapshots import Snapshots
from daemon.mqtt.topics import DeviceTopics
from daemon.publish.publisher import Publisher
from daemon.stats import Stats
from tests.conftest import wait_for
from tests.daemon.publishing import INFO, no_thread_left
from tests.daemon.test_payloads import check
from tests.servers.amqtt import Amqtt
from tests.servers.mosquitto import Mosquitto
from tests.servers.subscriber import Subscriber

GATE = "ospreyd/gate"
ANSWER = f"{GATE}/answer"
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

    def check(self, text: str) -> None:
        """See CommandActions.check."""
        self.calls.append(f"check {text}")

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
            self.apply,
            self.reload,
            self.build_engine,
            self.snapshot,
            self.publish_stats,
            self.reset_lines,
            self.check,
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
            recorder.check,
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


def ready(subscriber: Subscriber, broker: Mosquitto | Amqtt) -> None:
    """Waits until commands arrive."""
    subscriber.wait_for(f"{GATE}/status", b"online")
    wait_for(lambda: f"{GATE}/command/+" in broker.output(), "the subscription")
    subscriber.wait_for(f"{GATE}/yard/state/fps")


def ask(subscriber: Subscriber, topic: str, payload: str | bytes = b"", **more: Any) -> dict[str, Any]:
    """Sends a command and waits for its answer."""
    before = time.monotonic()
    subscriber.publish(f"{GATE}/{topic}", payload, **more)
    answered = subscriber.wait_for(more.get("response_topic") or ANSWER, after=before)
    assert answered.correlation == more.get("correlation")
    assert (answered.qos, answered.retained) == (1, False)
    answer: dict[str, Any] = check("answer", answered.payload)
    assert answer["command"] == topic
    return answer


def setting_state(subscriber: Subscriber, camera: str, setting: str) -> tuple[object, str]:
    """The last published value of a setting, and its origin."""
    payload = check("setting", subscriber.messages(f"{GATE}/{camera}/state/{setting}")[-1].payload)
    assert (payload["camera"], payload["setting"]) == (camera, setting)
    return payload["value"], payload["origin"]

"""What others ask of the daemon over MQTT, wired together: commands, the settings that they change, snapshots."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from daemon.config.schema import Config
from daemon.control.handler import CommandActions, CommandHandler
from daemon.control.overrides import SettingsFile
from daemon.control.running_config import RunningConfig
from daemon.control.worker import CommandWorker
from daemon.media.snapshots import Snapshots
from daemon.mqtt.incoming import Subscription
from daemon.mqtt.topics import DeviceTopics
from daemon.publish.publisher import Publisher
from daemon.records import FrameResult
from engines.folders import state_folder


class Host(Protocol):
    """What the daemon as a whole does on a command; see CommandActions."""

    def apply(self) -> None:
        """See CommandActions.apply."""

    def reload(self) -> str:
        """See CommandActions.reload."""

    def build_engine(self, model: str) -> None:
        """See CommandActions.build_engine."""


class Remote:
    """Owns the threads `commands` and `snapshots`; `host` does what concerns the daemon as a whole."""

    def __init__(self, file: Config, host: Host, on_fatal: Callable[[BaseException], None]) -> None:
        """`file` is the configuration as it was read."""
        topics = DeviceTopics.of(file.mqtt.prefix, file.device)
        kept = SettingsFile(file.device, state_folder()) if file.mqtt.persist_settings else None
        self._running = RunningConfig(file, kept)
        self._snapshots = Snapshots(self._picture, self._largest_picture, on_fatal)
        actions = CommandActions(
            host.apply, host.reload, host.build_engine, self._snapshots.request, self._publish_stats
        )
        handler = CommandHandler(self._running, actions)
        self._commands = CommandWorker(file.device, topics, self._running.scope, handler.execute, on_fatal)
        self._publisher: Publisher | None = None

    @property
    def config(self) -> Config:
        """What the daemon is to run with: the file, and what commands have set over it."""
        return self._running.config

    @property
    def subscription(self) -> Subscription:
        """For the link that brings the commands."""
        return self._commands.subscription

    @property
    def dropped(self) -> int:
        """Commands that found the queue full."""
        return self._commands.dropped

    def start(self, publisher: Publisher) -> None:
        """Publishes every setting, and starts the threads."""
        self._publisher = publisher
        self._running.start(publisher.setting)
        self._snapshots.start()
        self._commands.start(publisher.send, publisher.request, publisher.reserved)

    def stop(self) -> None:
        """Asks the threads to end; returns at once."""
        self._commands.stop()
        self._snapshots.stop()

    def join(self, timeout: float) -> bool:
        """Whether the threads have ended within `timeout` seconds."""
        return self._commands.join(timeout / 2) & self._snapshots.join(timeout / 2)

    def preview(self, file: Config) -> Config:
        """See RunningConfig.preview."""
        return self._running.preview(file)

    def replacing(self, file: Config) -> AbstractContextManager[None]:
        """See RunningConfig.replacing."""
        return self._running.replacing(file)

    def request_snapshot(self, camera: str, annotated: bool, label: str) -> None:
        """See Snapshots.request."""
        self._snapshots.request(camera, annotated, label)

    def offer_snapshot(self, result: FrameResult, image: NDArray[np.uint8]) -> None:
        """See Snapshots.offer."""
        self._snapshots.offer(result, image)

    def _publish_stats(self) -> None:
        if self._publisher is not None:
            self._publisher.stats_now()

    def _picture(self, camera: str, labels: frozenset[str], jpeg: bytes) -> None:
        if self._publisher is not None:
            self._publisher.picture(camera, labels, jpeg)

    def _largest_picture(self, camera: str, labels: frozenset[str]) -> int | None:
        return None if self._publisher is None else self._publisher.largest_picture(camera, labels)

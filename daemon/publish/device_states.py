"""The retained messages of cameras' states and of what the device is and runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from daemon.mqtt.topics import DeviceTopics
from daemon.publish import payloads
from daemon.records import CameraStatus, DaemonInfo
from daemon.system.wall_clock import WallClock

Retain = Callable[[str, bytes, str | None], None]
"""has the broker keep a payload on a topic, for as long as there is that camera; an empty one clears it"""


class DeviceStates:
    """Thread-safe. Their times are corrected when the system clock is set."""

    def __init__(self, device: str, topics: DeviceTopics, retain: Retain) -> None:
        self._device = device
        self._topics = topics
        self._retain = retain
        self._changing = threading.Lock()
        """guards what follows; held while a message is passed on, so that none passes a newer one"""
        self._clock = WallClock()
        self._info: DaemonInfo | None = None
        self._statuses: dict[str, CameraStatus] = {}

    def camera_status(self, status: CameraStatus) -> None:
        """Publishes a camera's new state."""
        with self._changing:
            self._statuses[status.camera] = status
            self._publish_status(status)

    def info(self, info: DaemonInfo) -> None:
        """Publishes what the device is and runs."""
        with self._changing:
            self._info = info
            self._publish_info(info)

    def keep(self, cameras: Iterable[str]) -> None:
        """Forgets the states of other cameras."""
        there = set(cameras)
        with self._changing:
            self._statuses = {name: status for name, status in self._statuses.items() if name in there}

    def follow_clock(self) -> None:
        """Publishes everything again if the system clock was set; to be called often."""
        with self._changing:
            if not self._clock.correction():
                return
            for status in self._statuses.values():
                self._publish_status(status)
            if self._info is not None:
                self._publish_info(self._info)

    def _publish_status(self, status: CameraStatus) -> None:
        payload = payloads.camera_status(self._device, status, self._clock.at(status.since))
        self._retain(self._topics.camera(status.camera).status.name, payload, status.camera)

    def _publish_info(self, info: DaemonInfo) -> None:
        payload = payloads.info(self._device, info, self._clock.at(info.configuration.loaded_at))
        self._retain(self._topics.info.name, payload, None)

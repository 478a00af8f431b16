"""The table of all topics that the daemon publishes to; schemas, AsyncAPI and `ospreyd watch` are made of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from daemon.control.command_payloads import AnswerPayload, SettingPayload
from daemon.mqtt.topics import DeviceTopics
from daemon.publish.event_messages import AnyEventPayload, LinePayload, ZonePayload
from daemon.publish.messages import CameraStatusPayload, DetectionsPayload, InfoPayload, StatsPayload

JSON = "application/json"
DEVICE = DeviceTopics.of("{prefix}", "{device}")
"""topics with {parameters}"""
_CAMERA = DEVICE.camera("{camera}")


@dataclass(frozen=True, slots=True)
class Channel:
    """One topic."""

    name: str
    topic: str
    """with {parameters}"""
    about: str
    """one sentence"""
    payload: Any
    """a type, or a JSON Schema where it is no JSON object"""
    qos: int
    retain: bool
    content_type: str = JSON

    def pattern(self, prefix: str) -> str:
        """The topic filter for all of them below a prefix, whatever the device and the camera."""
        return f"{prefix}/{re.sub(r'{[a-z]+}', '+', self.topic.removeprefix('{prefix}/'))}"

    def parameters(self, prefix: str, topic: str) -> dict[str, str] | None:
        """What stands in a topic for the {parameters} but the prefix; None where it is another channel's."""
        if not topic.startswith(f"{prefix}/"):
            return None
        levels = self.topic.removeprefix("{prefix}/").split("/")
        given = topic.removeprefix(f"{prefix}/").split("/")
        found = {level[1:-1]: text for level, text in zip(levels, given, strict=False) if level.startswith("{")}
        return found if given == [found.get(level[1:-1], level) for level in levels] else None


CHANNELS = (
    Channel(
        "status",
        DEVICE.status.name,
        "Whether the daemon is connected; also its last will.",
        {"enum": ["online", "offline"]},
        1,
        True,
        "text/plain",
    ),
    Channel("info", DEVICE.info.name, "What the device is and runs.", InfoPayload, 1, True),
    Channel("stats", DEVICE.stats.name, "How the device is doing, periodically.", StatsPayload, 0, False),
    Channel("event", _CAMERA.events.name, "What has happened, until the broker has it.", AnyEventPayload, 1, False),
    Channel("camera-status", _CAMERA.status.name, "State of a camera.", CameraStatusPayload, 1, True),
    Channel("detections", _CAMERA.detections.name, "What was detected in one frame.", DetectionsPayload, 0, False),
    Channel("zone", _CAMERA.zone("{zone}").name, "Who is in a zone.", ZonePayload, 1, True),
    Channel("line", _CAMERA.line("{line}").name, "How often a line was crossed.", LinePayload, 1, True),
    Channel("setting", _CAMERA.state("{setting}").name, "Current value of a setting.", SettingPayload, 1, True),
    Channel(
        "snapshot",
        _CAMERA.snapshot.name,
        "A picture, on command and as `events.snapshot` says; of an object with the user property `object`.",
        {"type": "string"},
        1,
        False,
        "image/jpeg",
    ),
    Channel("answer", DEVICE.answer.name, "Answer to a command without a response topic.", AnswerPayload, 1, False),
)

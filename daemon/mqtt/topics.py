"""Validated MQTT topic names, and the topics below `<prefix>/<device>`."""

from __future__ import annotations

from dataclasses import dataclass

_MAX_BYTES = 65535  # MQTT encodes a topic's length in two bytes


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic name to publish to. Raises ValueError if MQTT or this project does not allow it."""

    name: str

    def __post_init__(self) -> None:
        levels = self.name.split("/")
        if not all(levels):
            raise ValueError(f"an MQTT topic has no empty levels, got {self.name!r}")
        if any(c in "+#" or not c.isprintable() for c in self.name):
            raise ValueError(f"an MQTT topic has no wildcards (+ #) and no control characters, got {self.name!r}")
        if self.name.startswith("$"):
            raise ValueError(f"MQTT topics that begin with $ belong to the broker, got {self.name!r}")
        if len(self.name.encode()) > _MAX_BYTES:
            raise ValueError(f"an MQTT topic has at most {_MAX_BYTES} bytes, got {len(self.name.encode())}")

    def __str__(self) -> str:
        return self.name

    def __truediv__(self, level: str) -> Topic:
        """The topic one level below; of an enum with text values, its value: formatting gives that, or its name."""
        return Topic(f"{self.name}/{str.__str__(level)}")


def level(text: str) -> str:
    """Any text as one level of a topic; characters that a level cannot have become _."""
    return "".join("_" if c in "/+#" or not c.isprintable() else c for c in text) or "_"


@dataclass(frozen=True, slots=True)
class CameraTopics:
    """Topics of one camera."""

    root: Topic
    status: Topic
    """JSON, retained"""
    detections: Topic
    """JSON, one message per frame"""
    events: Topic
    """JSON, sent through the outbox"""
    snapshot: Topic
    """JPEG, on command and as `events.snapshot` says"""

    def state(self, setting: str) -> Topic:
        """JSON, retained: the value of a setting."""
        return self.root / "state" / setting

    def zone(self, name: str) -> Topic:
        """JSON, retained: who is in a zone."""
        return self.root / "zones" / name

    def line(self, name: str) -> Topic:
        """JSON, retained: how often a line was crossed."""
        return self.root / "lines" / name


@dataclass(frozen=True, slots=True)
class DeviceTopics:
    """Topics of one device."""

    root: Topic
    status: Topic
    """online | offline, retained; also the last will"""
    info: Topic
    """JSON, retained"""
    stats: Topic
    """JSON, periodic"""
    answer: Topic
    """JSON, for commands without a response topic"""

    @classmethod
    def of(cls, prefix: str, device: str) -> DeviceTopics:
        """The topics of `device`, below `<prefix>/<device>`."""
        root = Topic(prefix) / device
        return cls(root=root, status=root / "status", info=root / "info", stats=root / "stats", answer=root / "answer")

    def camera(self, name: str) -> CameraTopics:
        """The topics of one camera."""
        root = self.root / name
        return CameraTopics(root, root / "status", root / "detections", root / "events", root / "snapshot")

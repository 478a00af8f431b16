"""Where things are published: validated MQTT topic names below `<prefix>/<device>`."""

from __future__ import annotations

from dataclasses import dataclass

_MAX_BYTES = 65535  # MQTT writes a topic's length in two bytes


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic name that may be published to. Raises ValueError where MQTT or good sense forbids it."""

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
        """The topic one level below."""
        return Topic(f"{self.name}/{level}")


def level(text: str) -> str:
    """Any text as one level of a topic: what a level cannot hold becomes _."""
    return "".join("_" if c in "/+#" or not c.isprintable() else c for c in text) or "_"


@dataclass(frozen=True, slots=True)
class CameraTopics:
    """What one camera publishes."""

    root: Topic
    status: Topic
    """JSON, retained"""
    detections: Topic
    """JSON, one message a frame"""
    events: Topic
    """JSON, through the outbox"""
    snapshot: Topic
    """JPEG, on command and as `events.snapshot` says"""

    def state(self, setting: str) -> Topic:
        """JSON, retained: the value of a setting."""
        return self.root / "state" / setting


@dataclass(frozen=True, slots=True)
class DeviceTopics:
    """What one device publishes."""

    root: Topic
    status: Topic
    """online | offline, retained, last will"""
    info: Topic
    """JSON, retained"""
    stats: Topic
    """JSON, periodic"""
    answer: Topic
    """JSON, for each command that names no other topic"""

    @classmethod
    def of(cls, prefix: str, device: str) -> DeviceTopics:
        """The topics of `device`, all below `<prefix>/<device>`."""
        root = Topic(prefix) / device
        return cls(root=root, status=root / "status", info=root / "info", stats=root / "stats", answer=root / "answer")

    def camera(self, name: str) -> CameraTopics:
        """The topics of one camera."""
        root = self.root / name
        return CameraTopics(root, root / "status", root / "detections", root / "events", root / "snapshot")

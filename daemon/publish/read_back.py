"""What an earlier run may have left on the broker, where nothing on disk tells: a lost or damaged outbox file."""

from __future__ import annotations

from collections.abc import Mapping

from daemon.mqtt.topics import Topic
from daemon.publish.retained_memory import knows_topics

_PICTURE = "image"  # Home Assistant's: too large to be sent back by a broker that knows our maximum packet size
_RETAINED = ("status", _PICTURE, "state/+", "zones/+", "lines/+", "occupancy/+", "count/+", "dwell/+")
"""all that is retained below a camera's topic, in any format; commands are not among them"""


class ReadBack:
    """Reads the device's own retained topics once. Pure."""

    def __init__(self, root: Topic, kept: Mapping[str, bytes]) -> None:
        """`root` of the device's topics; `kept` by earlier runs: where that knows topics there is nothing to read."""
        self._root = f"{root}/"
        self.patterns = () if knows_topics(kept) else tuple(f"{root}/+/{rest}" for rest in _RETAINED)
        """topic filters"""

    def matches(self, topic: str) -> bool:
        """Whether it came by one of them."""
        return bool(self.patterns) and topic.startswith(self._root) and self._kind(topic) in _RETAINED

    def topics(self, topic: str) -> tuple[str, ...]:
        """What is retained, from one topic of a camera: that topic, and perhaps its picture."""
        camera = topic.removeprefix(self._root).partition("/")[0]
        return topic, f"{self._root}{camera}/{_PICTURE}"

    def _kind(self, topic: str) -> str:
        _, kind, *rest = [*topic.removeprefix(self._root).split("/"), ""]
        return "/".join([kind, *("+" for level in rest if level)])

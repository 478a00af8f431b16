"""What an earlier run may have left on the broker, where nothing on disk tells: a lost or damaged outbox file."""

from __future__ import annotations

from collections.abc import Mapping

from daemon.mqtt.topics import Topic
from daemon.publish.retained_memory import knows_topics

_BESIDE = ("status", "image")
"""retained for every camera that has a state, so these are not asked for: a filter for `+/status` takes in
`command/status`, which would come twice; and Home Assistant's image may be larger than we let the broker send"""
_ASKED = ("state/+", "zones/+", "lines/+", "occupancy/+", "count/+", "dwell/+")
"""all else that is retained below a camera's topic, in any format; commands are not among them"""


class ReadBack:
    """Reads the device's own retained topics once. Pure."""

    def __init__(self, root: Topic, kept: Mapping[str, bytes]) -> None:
        """`root` of the device's topics; `kept` by earlier runs: where that knows topics there is nothing to read."""
        self._root = f"{root}/"
        self.patterns = () if knows_topics(kept) else tuple(f"{root}/+/{rest}" for rest in _ASKED)
        """topic filters"""

    def matches(self, topic: str) -> bool:
        """Whether it is retained for a camera, and is read; no camera may be called `command`."""
        if not self.patterns or not topic.startswith(self._root) or topic.startswith(f"{self._root}command/"):
            return False
        return self._kind(topic) in (*_ASKED, *_BESIDE)

    def topics(self, topic: str) -> tuple[str, ...]:
        """What is retained, from one topic of a camera: that topic, its status, and perhaps its picture."""
        camera = topic.removeprefix(self._root).partition("/")[0]
        return topic, *(f"{self._root}{camera}/{rest}" for rest in _BESIDE)

    def _kind(self, topic: str) -> str:
        _, kind, *rest = [*topic.removeprefix(self._root).split("/"), ""]
        return "/".join([kind, *("+" for level in rest if level)])

"""DeepStream's minimal payload: one message a frame, each object as one text."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone

import orjson

from daemon.config.formats import DeepStream as Options
from daemon.mqtt.topics import DeviceTopics, Topic
from daemon.publish.formats.format import Format, FrameMessage
from daemon.records import FrameResult
from engines.records import Detections

_UNTRACKED = -1  # what stands for an object that no tracker follows


class DeepStream(Format):
    """Schema 4.0. Every object ends with `|#|` and its confidence, also where nothing classifies it further."""

    def __init__(self, options: Options, topics: DeviceTopics, _device: str) -> None:
        self._topic = self.root = (Topic(options.topic) if options.topic else topics.root / "deepstream").name

    def frame(self, result: FrameResult) -> Iterable[FrameMessage]:
        """See Format.frame."""
        at = datetime.fromtimestamp(result.captured_at, timezone.utc)
        payload = {
            "version": "4.0",
            "id": str(result.sequence),
            "@timestamp": at.isoformat(timespec="milliseconds")[:-6] + "Z",  # in place of +00:00
            "sensorId": result.camera,
            "objects": list(_objects(result.detections, result.labels)),
        }
        return ((self._topic, orjson.dumps(payload)),)


FORMAT = DeepStream


def _objects(found: Detections, labels: tuple[str, ...]) -> Iterable[str]:
    """`<track>|<left>|<top>|<right>|<bottom>|<label>|#|<confidence>`, pixels of the frame with 2 decimals."""
    for (left, top, right, bottom), score, label in zip(
        found.boxes.tolist(), found.scores.tolist(), found.labels.tolist(), strict=True
    ):
        name = labels[label].replace("|", "_")  # which separates the fields
        yield f"{_UNTRACKED}|{left:.2f}|{top:.2f}|{right:.2f}|{bottom:.2f}|{name}|#|{score:.4f}"

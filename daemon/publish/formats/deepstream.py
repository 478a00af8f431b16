"""DeepStream's minimal payload: one message a frame, each object as one text."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone

import orjson

from daemon.config.formats import DeepStream as Options
from daemon.mqtt.topics import DeviceTopics, Topic
from daemon.publish.formats.format import Format, FrameMessage
from daemon.records import FrameResult

_UNTRACKED = -1  # in place of the number of a detection that is not tracked, or not yet


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
            "objects": list(_objects(result)),
        }
        return ((self._topic, orjson.dumps(payload)),)


FORMAT = DeepStream


def _objects(result: FrameResult) -> Iterable[str]:
    """`<track>|<left>|<top>|<right>|<bottom>|<label>|#|<confidence>`, pixels of the frame with 2 decimals."""
    found = result.detections
    tracks = result.objects or (None,) * len(found.labels)
    for (left, top, right, bottom), score, label, track in zip(
        found.boxes.tolist(), found.scores.tolist(), found.labels.tolist(), tracks, strict=True
    ):
        name = result.labels[label].replace("|", "_")  # which separates the fields
        number = _UNTRACKED if track is None else track.number
        yield f"{number}|{left:.2f}|{top:.2f}|{right:.2f}|{bottom:.2f}|{name}|#|{score:.4f}"

"""What the tests of other formats share: formats whose messages are recorded, and what they are given."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from daemon.config.schema import Config
from daemon.mqtt.topics import DeviceTopics
from daemon.publish.formats.fanout import Formats
from daemon.publish.formats.format import DeliveryKind, OutgoingMessage
from daemon.records import Event, EventType, FrameResult
from engines.records import Detections
from tests.daemon.publishing import INFO, LABELS, config, result


class RecordedFormats:
    """Formats of the device `gate`, and their messages."""

    def __init__(self, settings: Config) -> None:
        self.messages: list[OutgoingMessage] = []
        topics = DeviceTopics.of(settings.mqtt.prefix, settings.device)
        self.formats = Formats(settings.mqtt, topics, settings.device, self._record)
        self.formats.configure(settings, INFO)

    def _record(self, message: OutgoingMessage) -> None:
        self.messages.append(message)

    def take(self) -> dict[str, bytes]:
        """Retained messages since the last call, by topic."""
        taken = {
            one.topic: one.payload for one in self.messages if one.kind in (DeliveryKind.RETAINED, DeliveryKind.CLEARED)
        }
        self.messages = [one for one in self.messages if one.kind is DeliveryKind.EVENT]
        return taken

    def events(self) -> list[Any]:
        """Events since the last call."""
        found = [json.loads(one.payload) for one in self.messages if one.kind is DeliveryKind.EVENT]
        self.messages = [one for one in self.messages if one.kind is not DeliveryKind.EVENT]
        return found


def recorded(**formats: dict[str, object]) -> RecordedFormats:
    return RecordedFormats(config(1, formats=formats))


def seen(at: float, *objects: tuple[str, float], camera: str = "front") -> FrameResult:
    """A frame captured `at` seconds, with objects of these classes and scores, best first."""
    boxes = [[10.4 + 100 * index, 20, 60.4 + 100 * index, 120] for index in range(len(objects))]
    found = Detections(
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.array([score for _, score in objects], np.float32),
        labels=np.array([LABELS.index(label) for label, _ in objects], np.int32),
    )
    return replace(result(camera=camera), detections=found, captured_at=1_700_000_000 + at, captured_mono=at)


def happened(kind: EventType, at: float, label: str, camera: str = "front") -> Event:
    return Event(camera, kind, 1_700_000_000 + at, label, 1)


Box = tuple[int, int, int, int]


class FrigateSnapshot(BaseModel):
    """As Frigate's documentation shows it."""

    model_config = ConfigDict(extra="forbid", strict=True)
    frame_time: float
    box: Box
    area: int
    region: Box
    score: float
    attributes: list[str]


class FrigateObject(BaseModel):
    """As Frigate's documentation shows it."""

    model_config = ConfigDict(extra="forbid", strict=True)
    id: str = Field(pattern=r"^\d+\.\d{6}-[a-z0-9]{6}$")
    camera: str
    frame_time: float
    snapshot_time: float
    snapshot: FrigateSnapshot
    label: str
    sub_label: str | None
    top_score: float
    false_positive: bool
    start_time: float
    end_time: float | None
    score: float
    box: Box
    area: int
    ratio: float
    region: Box
    active: bool
    stationary: bool
    motionless_count: int
    position_changes: int
    current_zones: list[str]
    entered_zones: list[str]
    attributes: dict[str, float]
    current_attributes: list[str]
    pending_loitering: bool
    has_clip: bool
    has_snapshot: bool
    thumbnail: str | None
    current_estimated_speed: float = 0.0
    velocity_angle: float = 0.0


class FrigateEvent(BaseModel):
    """As Frigate's documentation shows it."""

    model_config = ConfigDict(extra="forbid", strict=True)
    type: Literal["new", "update", "end"]
    before: FrigateObject
    after: FrigateObject


def frigate_events(documents: Iterable[Any]) -> list[FrigateEvent]:
    return [FrigateEvent.model_validate_json(json.dumps(document)) for document in documents]

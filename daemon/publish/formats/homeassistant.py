"""Home Assistant: discovery of cameras' entities, and the states of those entities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from daemon.config.formats import HomeAssistant as Options
from daemon.config.schema import Config
from daemon.mqtt.incoming import Received
from daemon.mqtt.outgoing import Message
from daemon.mqtt.topics import DeviceTopics, Topic
from daemon.publish.formats.camera_labels import published_classes
from daemon.publish.formats.counts import Counts
from daemon.publish.formats.format import DeliveryKind, Format, OutgoingMessage
from daemon.publish.formats.homeassistant_areas import CameraAreas
from daemon.publish.formats.homeassistant_discovery import Discovery
from daemon.records import DaemonInfo, Event, EventType, FrameResult
from daemon.records.object_events import ObjectEvent

_ON, _OFF = b"ON", b"OFF"


class HomeAssistant(Format):
    """One device for the daemon and one for each camera, which is removed with the camera."""

    def __init__(self, options: Options, topics: DeviceTopics, device: str) -> None:
        self._entities = Discovery(Topic(options.prefix), topics, device)
        self.root = options.prefix
        self.patterns = (f"{options.prefix}/+/{self._entities.node}/+/config",)
        self._discovery: dict[str, bytes] = {}
        self._labels: dict[str, tuple[str, ...]] = {}
        self._counts: dict[str, Counts] = {}
        self._areas: dict[str, CameraAreas] = {}
        self._dwelling: dict[tuple[str, str], set[str]] = {}
        """by camera and zone that tells of it, identifiers of the objects that stay there"""

    def configure(self, config: Config, info: DaemonInfo) -> Iterable[OutgoingMessage]:
        """See Format.configure."""
        labels = {name: published_classes(config, name, info) for name in config.cameras}
        areas = {name: CameraAreas.of(config, name, info) for name in config.cameras}
        if self._discovery and labels == self._labels and areas == self._areas:
            return ()  # called often while a model is built, and slow where there are many classes
        wanted = self._entities.messages(labels, areas, info.version)
        dwell = self._configure_dwell(areas)
        gone = [OutgoingMessage(topic, b"") for topic in self._discovery if topic not in wanted]
        gone += [
            OutgoingMessage(topic, b"")
            for name, of in self._labels.items()
            for label in of
            if label not in labels.get(name, ())
            for topic in (self._entities.occupancy(name, label), self._entities.count(name, label))
        ]
        new = [
            OutgoingMessage(topic, payload)
            for topic, payload in wanted.items()
            if self._discovery.get(topic) != payload
        ]
        self._discovery = wanted
        changed = {name: of for name, of in labels.items() if self._labels.get(name) != of}
        self._counts = {name: Counts(of) if name in changed else self._counts[name] for name, of in labels.items()}
        self._labels = labels
        first = [message for name, of in changed.items() for label in of for message in self._absent(name, label)]
        first += [
            OutgoingMessage(self._entities.image(name), kind=DeliveryKind.CLAIMED, camera=name) for name in changed
        ]
        return [*gone, *new, *first, *dwell]

    def result(self, result: FrameResult) -> Iterable[OutgoingMessage]:
        """See Format.result."""
        if (counts := self._counts.get(result.camera)) is None:
            return ()
        seen = Counter(result.labels[index] for index in result.detections.labels.tolist())
        changed = counts.see(result.captured_mono, seen)
        return [
            OutgoingMessage(self._entities.count(result.camera, label), str(number).encode(), camera=result.camera)
            for label, number in changed.items()
        ]

    def event(self, event: Event) -> Iterable[OutgoingMessage]:
        """See Format.event."""
        if isinstance(event, ObjectEvent):
            return self._dwell(event)
        if event.type not in (EventType.APPEARED, EventType.GONE) or event.label not in self._labels.get(
            event.camera, ()
        ):
            return ()
        there = _ON if event.type is EventType.APPEARED else _OFF
        return (OutgoingMessage(self._entities.occupancy(event.camera, event.label), there, camera=event.camera),)

    def pictures(self, camera: str, labels: frozenset[str], jpeg: bytes) -> Iterable[Message]:
        """See Format.pictures. Kept by the broker, since Home Assistant itself forgets it at a restart."""
        return (Message(self._entities.image(camera), jpeg, "image/jpeg", retain=True),)

    def is_echo(self, topic: str) -> bool:
        """See Format.is_echo."""
        return topic.startswith(f"{self.root}/") and f"/{self._entities.node}/" in topic and topic.endswith("/config")

    def echo(self, message: Received) -> Iterable[OutgoingMessage]:
        """See Format.echo."""
        left = message.retained and self._discovery and message.topic not in self._discovery
        return (OutgoingMessage(message.topic, kind=DeliveryKind.CLEARED),) if left else ()

    def _configure_dwell(self, areas: dict[str, CameraAreas]) -> list[OutgoingMessage]:
        """What is said of zones in which it matters who stays, when these are others than before."""
        zones = {(name, zone) for name, of in areas.items() for zone, shown in of.zones.items() if shown.dwell}
        gone, new = (
            [key for key in self._dwelling if key not in zones],
            [key for key in zones if key not in self._dwelling],
        )
        self._areas = areas
        self._dwelling = {key: self._dwelling.get(key, set()) for key in zones}
        cleared = [OutgoingMessage(self._entities.dwell(*key), b"") for key in gone]
        return [*cleared, *(OutgoingMessage(self._entities.dwell(*key), _OFF, camera=key[0]) for key in new)]

    def _dwell(self, event: ObjectEvent) -> Iterable[OutgoingMessage]:
        there = self._dwelling.get((event.camera, event.zone or ""))
        if there is None or event.object is None:
            return ()
        before = bool(there)
        if event.type is EventType.ZONE_DWELL:
            there.add(event.object.id)
        elif event.type is EventType.ZONE_LEFT:
            there.discard(event.object.id)
        if bool(there) == before:
            return ()
        topic = self._entities.dwell(event.camera, event.zone or "")
        return (OutgoingMessage(topic, _ON if there else _OFF, camera=event.camera),)

    def _absent(self, camera: str, label: str) -> Iterable[OutgoingMessage]:
        yield OutgoingMessage(self._entities.occupancy(camera, label), _OFF, camera=camera)
        yield OutgoingMessage(self._entities.count(camera, label), b"0", camera=camera)


FORMAT = HomeAssistant

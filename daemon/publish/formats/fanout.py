"""All formats that are switched on, told everything together."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from daemon.config.mqtt import Mqtt
from daemon.config.schema import Config
from daemon.control.commands import CommandRequest, CommandScope
from daemon.control.settings import Setting, Value
from daemon.mqtt.incoming import Received
from daemon.mqtt.outgoing import Message, Presence
from daemon.mqtt.topics import DeviceTopics, Topic
from daemon.publish.formats.deepstream import DeepStream
from daemon.publish.formats.format import Format, Said, Transient
from daemon.publish.formats.frigate import Frigate
from daemon.publish.formats.homeassistant import HomeAssistant
from daemon.records import DaemonInfo, DaemonStats, Event, FrameResult


class Formats:
    """For one thread, but for what says otherwise. `say` gets the messages in their order, and must not wait."""

    def __init__(self, mqtt: Mqtt, topics: DeviceTopics, device: str, say: Callable[[Said], None]) -> None:
        self._formats = tuple(_switched_on(mqtt, topics, device))
        self._say = say

    def __bool__(self) -> bool:
        """Whether there is a format; for any thread."""
        return bool(self._formats)

    @property
    def patterns(self) -> tuple[str, ...]:
        """Topic filters of what they want to hear."""
        return tuple(pattern for one in self._formats for pattern in one.patterns)

    @property
    def roots(self) -> tuple[str, ...]:
        """Topics below which they publish, beside the device's own."""
        return tuple(one.root for one in self._formats)

    @property
    def presences(self) -> tuple[Presence, ...]:
        """Those that take a connection of their own."""
        return tuple(one.presence for one in self._formats if one.presence is not None)

    def configure(self, config: Config, info: DaemonInfo) -> None:
        """At the start and at every change. What comes before the models are known is left out."""
        if all(camera.model in info.models for camera in config.cameras.values()):
            self._all_say(lambda one: one.configure(config, info))

    def result(self, result: FrameResult) -> None:
        """What was seen in one frame."""
        self._all_say(lambda one: one.result(result))

    def event(self, event: Event) -> None:
        """What has happened."""
        self._all_say(lambda one: one.event(event))

    def setting(self, camera: str, which: Setting, value: Value) -> None:
        """What a camera runs with."""
        self._all_say(lambda one: one.setting(camera, which, value))

    def close(self) -> None:
        """Says what is still to be said."""
        self._all_say(lambda one: one.close())

    def frames(self, result: FrameResult) -> list[Transient]:
        """The messages of one frame that is published."""
        return [message for one in self._formats for message in one.frame(result)]

    def stats(self, report: DaemonStats) -> list[Transient]:
        """Those of a report."""
        return [message for one in self._formats for message in one.stats(report)]

    def pictures(self, camera: str, labels: frozenset[str], jpeg: bytes) -> list[Message]:
        """Those of a snapshot; for any thread."""
        return [message for one in self._formats for message in one.pictures(camera, labels, jpeg)]

    def request(self, scope: CommandScope, message: Received) -> CommandRequest | None:
        """A command of one of them; None where the message is none of theirs. For any thread."""
        parsed = (one.request(scope, message) for one in self._formats)
        return next((request for request in parsed if request is not None), None)

    def is_echo(self, topic: str) -> bool:
        """Whether what comes from there is a message of one of them that has come back; for any thread."""
        return any(one.is_echo(topic) for one in self._formats)

    def echo(self, message: Received) -> None:
        """A message of one of them that has come back: what holds no longer is cleared."""
        self._all_say(lambda one: one.echo(message) if one.is_echo(message.topic) else ())

    def _all_say(self, of: Callable[[Format], Iterable[Said]]) -> None:
        for one in self._formats:
            for said in of(one):
                self._say(said)


def _switched_on(mqtt: Mqtt, topics: DeviceTopics, device: str) -> Iterable[Format]:
    formats = mqtt.formats
    if formats.deepstream is not None:
        given = formats.deepstream.topic
        yield DeepStream(topics.root / "deepstream" if given is None else Topic(given))
    if formats.frigate is not None:
        yield Frigate(Topic(formats.frigate.prefix), topics.answer)
    if formats.homeassistant is not None:
        yield HomeAssistant(Topic(formats.homeassistant.prefix), topics, device)

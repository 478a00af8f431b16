"""All formats that are enabled, called together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib import import_module

from daemon.config.mqtt import Mqtt
from daemon.config.schema import Config
from daemon.control.commands import CommandRequest, CommandScope
from daemon.control.settings import Setting, Value
from daemon.mqtt.incoming import Received
from daemon.mqtt.outgoing import Message, Presence
from daemon.mqtt.topics import DeviceTopics
from daemon.publish.formats.format import Format, FrameMessage, OutgoingMessage
from daemon.records import DaemonInfo, DaemonStats, Event, FrameResult


class Formats:
    """For one thread, unless a method says otherwise."""

    def __init__(
        self,
        mqtt: Mqtt,
        topics: DeviceTopics,
        device: str,
        publish: Callable[[OutgoingMessage], None],
        configured: Callable[[], None] = lambda: None,
    ) -> None:
        """`publish` gets the messages in their order, and must not wait; `configured` follows those of `configure`."""
        self._formats = tuple(_enabled(mqtt, topics, device))
        self._publish = publish
        self._configured = configured

    def __bool__(self) -> bool:
        """Whether there is a format; for any thread."""
        return bool(self._formats)

    @property
    def patterns(self) -> tuple[str, ...]:
        """Topic filters that they subscribe to."""
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
        """At the start and at every change; ignored while a model of the cameras is unknown."""
        if all(camera.model in info.models for camera in config.cameras.values()):
            self._publish_all(lambda one: one.configure(config, info))
            self._configured()

    def result(self, result: FrameResult) -> None:
        """The detections of one frame."""
        self._publish_all(lambda one: one.result(result))

    def event(self, event: Event) -> None:
        """An event."""
        self._publish_all(lambda one: one.event(event))

    def setting(self, camera: str, which: Setting, value: Value) -> None:
        """The value of a camera's setting."""
        self._publish_all(lambda one: one.setting(camera, which, value))

    def close(self) -> None:
        """Publishes what is left at the end."""
        self._publish_all(lambda one: one.close())

    def frames(self, result: FrameResult) -> list[FrameMessage]:
        """The messages of one frame that is published."""
        return [message for one in self._formats for message in one.frame(result)]

    def stats(self, report: DaemonStats) -> list[FrameMessage]:
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
        """Whether the topic is one of their own messages, which the broker sends back; for any thread."""
        return any(one.is_echo(topic) for one in self._formats)

    def echo(self, message: Received) -> None:
        """A retained message of one of them that the broker has sent: cleared if it is no longer valid."""
        self._publish_all(lambda one: one.echo(message) if one.is_echo(message.topic) else ())

    def _publish_all(self, of: Callable[[Format], Iterable[OutgoingMessage]]) -> None:
        for one in self._formats:
            for message in of(one):
                self._publish(message)


def _enabled(mqtt: Mqtt, topics: DeviceTopics, device: str) -> Iterator[Format]:
    """A format is the module here that has the name of its key in the configuration."""
    for name in type(mqtt.formats).model_fields:
        if (options := getattr(mqtt.formats, name)) is not None:
            made: Format = import_module(f"daemon.publish.formats.{name}").FORMAT(options, topics, device)
            yield made

"""What a subscriber of a broker gets: a real one, on paho, that remembers every message."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import pytest
from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from tests.conftest import PATIENCE


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it came."""

    topic: str
    payload: bytes
    retained: bool
    """it was kept by the broker from before the subscription"""
    qos: int
    content_type: str | None
    """MQTT 5 only"""
    correlation: bytes | None
    """MQTT 5 only"""
    at: float
    """time.monotonic() when it came"""
    user_properties: tuple[tuple[str, str], ...] = ()
    """MQTT 5 only"""

    def json(self) -> Any:
        """The payload, decoded."""
        return json.loads(self.payload)


class Subscriber:
    """Subscribed to `pattern` when made, and again after every loss of the broker, which it looks for all the time.

    `mqtt5=False` speaks 3.1.1. Other keywords: username, password.
    """

    def __init__(
        self,
        host: str,
        port: int,
        pattern: str = "#",
        *,
        mqtt5: bool = True,
        username: str | None = None,
        password: str | None = None,
    ) -> None:
        self._pattern = pattern
        self._changed = threading.Condition()
        self._messages: list[Message] = []
        self._subscribed = False
        version = MQTTProtocolVersion.MQTTv5 if mqtt5 else MQTTProtocolVersion.MQTTv311
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=version)
        self._client.username_pw_set(username, password)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.reconnect_delay_set(1, 1)
        self._client.connect(host, port)
        self._client.loop_start()
        self.wait(lambda _: self._subscribed, "the subscription")

    def messages(self, topic: str | None = None) -> list[Message]:
        """What has come so far, in its order; of one topic, or of all."""
        with self._changed:
            return [m for m in self._messages if topic is None or m.topic == topic]

    def wait(self, condition: Callable[[list[Message]], object], what: str, timeout: float = PATIENCE) -> None:
        """Returns once `condition(messages so far)` is true; fails with `what` after `timeout` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: condition(self._messages), timeout):
                last = "\n".join(f"{m.topic} {m.payload[:200]!r}" for m in self._messages[-20:])
                pytest.fail(f"waited {timeout:.0f} s for {what}; the last messages:\n{last or '(none)'}")

    def wait_while_progressing(
        self,
        condition: Callable[[list[Message]], object],
        progress: Callable[[list[Message]], object],
        what: str,
        stalled: float = PATIENCE,
    ) -> None:
        """As `wait`, for work of any length: fails once `progress(messages so far)` has not changed for so many s."""
        before: object = None
        since = time.monotonic()
        with self._changed:
            while not condition(self._messages):
                now = progress(self._messages)
                if now != before:
                    before, since = now, time.monotonic()
                if time.monotonic() - since > stalled:
                    pytest.fail(f"waited for {what}; no progress for {stalled:.0f} s since {before!r}")
                self._changed.wait(1.0)

    def wait_for(
        self, topic: str, payload: bytes | None = None, *, after: float = 0.0, timeout: float = PATIENCE
    ) -> Message:
        """The first message on `topic`, with that payload if one is given, that came later than `after`."""
        found: list[Message] = []

        def there(messages: list[Message]) -> bool:
            found[:] = [m for m in messages if m.topic == topic and m.at > after and payload in (None, m.payload)]
            return bool(found)

        self.wait(there, f"{topic} {'' if payload is None else payload!r}", timeout)
        return found[0]

    def publish(
        self,
        topic: str,
        payload: bytes | str,
        *,
        retain: bool = False,
        response_topic: str | None = None,
        correlation: bytes | None = None,
    ) -> None:
        """Publishes with QoS 1; returns when the broker has it. The last two need MQTT 5."""
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho does not type it
        if response_topic is not None:
            properties.ResponseTopic = response_topic
        if correlation is not None:
            properties.CorrelationData = correlation
        with_any = response_topic is not None or correlation is not None
        self._client.publish(topic, payload, 1, retain, properties if with_any else None).wait_for_publish(20)

    def flood(self, topic: str, payload: bytes) -> None:
        """Publishes with QoS 0 and does not wait."""
        self._client.publish(topic, payload, 0)

    def close(self) -> None:
        """Ends the subscription."""
        self._client.disconnect()
        self._client.loop_stop()

    def __enter__(self) -> Subscriber:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def _on_connect(
        self, client: Client, _user: object, _flags: ConnectFlags, _reason: ReasonCode, _properties: Properties | None
    ) -> None:
        client.subscribe(self._pattern, qos=1)

    def _on_subscribe(
        self, _client: Client, _user: object, _mid: int, _reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        with self._changed:
            self._subscribed = True
            self._changed.notify_all()

    def _on_message(self, _client: Client, _user: object, message: MQTTMessage) -> None:
        came = Message(
            message.topic,
            bytes(message.payload),
            message.retain,
            message.qos,
            getattr(message.properties, "ContentType", None),
            getattr(message.properties, "CorrelationData", None),
            time.monotonic(),
            tuple(getattr(message.properties, "UserProperty", ())),
        )
        with self._changed:
            self._messages.append(came)
            self._changed.notify_all()

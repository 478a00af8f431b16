"""What one connection subscribes to, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from daemon.mqtt import packets
from daemon.mqtt.incoming import Received, Subscription
from daemon.mqtt.limits import BrokerLimits


class Subscriptions:
    """Of one paho client, in the thread that serves it."""

    def __init__(self, subscription: Subscription | None, denied: Callable[[str, str], None]) -> None:
        """`denied` gets each topic filter that the broker does not take, and why."""
        self._subscription = subscription
        self._denied = denied
        self._asked: dict[int, str] = {}
        """topic filters by the packet identifier of their SUBSCRIBE"""

    @property
    def largest(self) -> int:
        """Bytes of a payload that is looked at."""
        return self._subscription.largest if self._subscription else 0

    def begin(self, client: Client, limits: BrokerLimits) -> None:
        """Asks for one topic filter a packet: if the broker does not allow one of them, the others do not suffer."""
        for pattern in self._subscription.patterns if self._subscription else ():
            if not limits.wildcards and not {"+", "#"}.isdisjoint(pattern):
                self._denied(pattern, "it takes no wildcards")
            elif packets.subscribe_size(pattern) > limits.packet:
                self._denied(pattern, "it takes no packet so large")
            elif (mid := client.subscribe(pattern, 1)[1]) is not None:
                self._asked[mid] = pattern

    def on_subscribe(
        self, _client: Client, _user: object, mid: int, codes: list[ReasonCode], _properties: Properties | None
    ) -> None:
        """Of paho."""
        pattern = self._asked.pop(mid, "")
        for code in codes:
            if code.is_failure:
                self._denied(pattern, str(code))

    def on_message(self, _client: Client, _user: object, message: MQTTMessage) -> None:
        """Of paho."""
        subscription = self._subscription
        if subscription is None:
            return
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return  # no topic of ours
        carried = message.properties
        subscription.handle(
            Received(
                topic=topic,
                payload=bytes(message.payload[: subscription.largest + 1]),
                retained=message.retain,
                response_topic=getattr(carried, "ResponseTopic", None),
                correlation=getattr(carried, "CorrelationData", None),
            )
        )

"""Subscriptions of one connection."""

from __future__ import annotations

from collections.abc import Callable

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from daemon.mqtt import packets
from daemon.mqtt.incoming import Received, Subscription
from daemon.mqtt.limits import BrokerLimits


class Subscriptions:
    """Used in the link's thread only."""

    def __init__(self, subscription: Subscription | None, on_denied: Callable[[str, str], None]) -> None:
        """`on_denied` gets each topic filter that the broker refuses, and the reason."""
        self._subscription = subscription
        self._on_denied = on_denied
        self._requested: dict[int, str] = {}
        """topic filters by the packet identifier of their SUBSCRIBE"""

    @property
    def max_payload(self) -> int:
        """Bytes of the longest payload that is of interest."""
        return self._subscription.max_payload if self._subscription else 0

    def subscribe(self, client: Client, limits: BrokerLimits) -> None:
        """Sends one SUBSCRIBE for each topic filter, so that a refused one does not affect the others."""
        for pattern in (*self._subscription.patterns, *self._subscription.once) if self._subscription else ():
            if not limits.wildcards and not {"+", "#"}.isdisjoint(pattern):
                self._denied(pattern, "wildcards are not supported")
            elif packets.subscribe_size(pattern) > limits.packet:
                self._denied(pattern, "the packet is too large")
            elif (mid := client.subscribe(pattern, 1)[1]) is not None:
                self._requested[mid] = pattern

    def on_subscribe(
        self, _client: Client, _user: object, mid: int, codes: list[ReasonCode], _properties: Properties | None
    ) -> None:
        """Called by paho."""
        pattern = self._requested.pop(mid, "")
        for code in codes:
            if code.is_failure:
                self._denied(pattern, str(code))

    def _denied(self, pattern: str, why: str) -> None:
        """Nobody misses what is asked for once."""
        if self._subscription is not None and pattern not in self._subscription.once:
            self._on_denied(pattern, why)

    def on_message(self, _client: Client, _user: object, message: MQTTMessage) -> None:
        """Called by paho."""
        subscription = self._subscription
        if subscription is None:
            return
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return  # not a topic of ours
        subscription.handle(
            Received(
                topic=topic,
                payload=bytes(message.payload[: subscription.max_payload + 1]),
                retained=message.retain,
                response_topic=getattr(message.properties, "ResponseTopic", None),
                correlation=getattr(message.properties, "CorrelationData", None),
            )
        )

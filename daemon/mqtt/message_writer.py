"""Hands messages to one connection, within what its broker allows."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from paho.mqtt.client import Client, MQTTMessageInfo
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties

from daemon.mqtt import packets, properties
from daemon.mqtt.batch_writer import Bursts
from daemon.mqtt.limits import BrokerLimits
from daemon.mqtt.outgoing import Handed, Handover, Message

_LARGE = 16  # messages of `send` that wait for the broker's acknowledgement; they may be pictures


class MessageWriter:
    """Thread-safe. What is larger than the broker takes is never sent, since the broker would end the connection."""

    def __init__(
        self,
        client: Client,
        bursts: Bursts,
        limits: BrokerLimits,
        *,
        mqtt5: bool,
        too_large: Callable[[str, int], None],
    ) -> None:
        """`too_large` gets the topic and the size, in bytes, of each packet that was not sent because of that."""
        self._client = client
        self._bursts = bursts
        self._limits = limits
        self._mqtt5 = mqtt5
        self._too_large = too_large
        self._large: deque[MQTTMessageInfo] = deque()
        self._sending = threading.Lock()
        """guards _large"""
        self._expiring = properties.of_many(expires=True) if mqtt5 else None
        self._lasting = properties.of_many(expires=False) if mqtt5 else None

    def publish(self, topic: str, payload: bytes, retain: bool, of: Handed | None) -> Handover:
        """See Link.publish."""
        if retain and not self._limits.retain and not payload:
            return Handover.TAKEN  # nothing is kept there that could be cleared
        carried = self._lasting if retain else self._expiring
        qos = min(1, self._limits.qos) if retain else 0
        if not self._fits(topic, len(payload), carried, qos):
            return Handover.TOO_LARGE
        if qos:  # paho itself keeps its queue of acknowledged messages within bounds
            return _handover(self._client.publish(topic, payload, qos, self._limits.retain, carried))
        packet = packets.publish(topic, payload, _packed(carried), retain=retain and self._limits.retain)
        return Handover.TAKEN if self._bursts.add(packet, of) else Handover.NO_ROOM

    def send(self, message: Message) -> Handover:
        """See Link.send."""
        carried = properties.of_one(message) if self._mqtt5 else None
        qos, retain = min(1, self._limits.qos), message.retain and self._limits.retain
        if not self._fits(message.topic, len(message.payload), carried, qos):
            return Handover.TOO_LARGE
        with self._sending:
            while self._large and self._large[0].is_published():
                self._large.popleft()
            if len(self._large) >= _LARGE:
                return Handover.NO_ROOM
            sent = self._client.publish(message.topic, message.payload, qos, retain, carried)
            if (handover := _handover(sent)) is Handover.TAKEN:
                self._large.append(sent)
            return handover

    def deliver(self, topic: str, payload: bytes) -> int | Handover:
        """The packet identifier of a message that was taken; else what became of it. See Link.deliver."""
        qos = min(1, self._limits.qos)
        if not self._fits(topic, len(payload), self._lasting, qos):
            return Handover.TOO_LARGE
        sent = self._client.publish(topic, payload, qos, False, self._lasting)
        return sent.mid if _handover(sent) is Handover.TAKEN else Handover.NO_ROOM

    def largest(self, message: Message) -> int:
        """Bytes of payload that the message may have; its own does not count."""
        carried = properties.of_one(message) if self._mqtt5 else None
        besides = (
            packets.publish_size(message.topic, 0, len(_packed(carried)), 1) + 3
        )  # of a length that is long itself
        return self._limits.packet - besides

    def _fits(self, topic: str, payload: int, carried: Properties | None, qos: int) -> bool:
        size = packets.publish_size(topic, payload, len(_packed(carried)), qos)
        if size > self._limits.packet:
            self._too_large(topic, size)
        return size <= self._limits.packet


def _packed(carried: Properties | None) -> bytes:
    return b"" if carried is None else bytes(carried.pack())  # type: ignore[no-untyped-call]  # paho does not type it


def _handover(sent: MQTTMessageInfo) -> Handover:
    return Handover.TAKEN if sent.rc == MQTTErrorCode.MQTT_ERR_SUCCESS else Handover.NO_ROOM

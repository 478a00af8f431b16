"""Hands messages to one connection, within the limits of its broker."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from paho.mqtt.client import Client, MQTTMessageInfo
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties

from daemon.mqtt import packets, properties
from daemon.mqtt.batch_writer import BatchWriter
from daemon.mqtt.limits import BrokerLimits
from daemon.mqtt.outgoing import FrameReceipt, Handover, Message

_MAX_SENT = 16  # unacknowledged messages of `send`; they may be pictures


class MessageWriter:
    """Thread-safe. Never sends a packet that is larger than the broker takes: the broker would end the connection."""

    def __init__(
        self,
        client: Client,
        batch: BatchWriter,
        limits: BrokerLimits,
        *,
        mqtt5: bool,
        on_too_large: Callable[[str, int], None],
    ) -> None:
        """`on_too_large` gets topic and size in bytes of each packet that is too large."""
        self._client = client
        self._batch = batch
        self._limits = limits
        self._mqtt5 = mqtt5
        self._on_too_large = on_too_large
        self.largest = (0, "")
        """bytes and topic of the largest packet that was handed over"""
        self._sent: deque[MQTTMessageInfo] = deque()
        self._sending = threading.Lock()
        """guards _sent"""
        self._packed = _packed(properties.json_properties(expires=True) if mqtt5 else None)
        """properties of a JSON message that expires"""
        self._lasting = properties.json_properties(expires=False) if mqtt5 else None

    def presence(self, topic: str, payload: bytes) -> MQTTMessageInfo | None:
        """Publishes whether the client is connected, retained; None if the packet is too large for the broker."""
        if not self._fits(topic, len(payload), None, self._limits.qos):
            return None
        return self._client.publish(topic, payload, self._limits.qos, self._limits.retain)

    def publish(self, topic: str, payload: bytes, retain: bool, receipt: FrameReceipt | None) -> Handover:
        """See Link.publish."""
        if retain and not self._limits.retain and not payload:
            return Handover.TAKEN  # the broker retains nothing that could be cleared
        if retain and self._limits.qos:  # paho bounds its queue of unacknowledged messages
            if not self._fits(topic, len(payload), self._lasting, 1):
                return Handover.TOO_LARGE
            return _handover(self._client.publish(topic, payload, 1, self._limits.retain, self._lasting))
        extra = _packed(self._lasting) if retain else self._packed
        packet = packets.publish(topic, payload, extra, retain=retain and self._limits.retain)
        if not self._is_allowed(topic, len(packet)):
            return Handover.TOO_LARGE
        return Handover.TAKEN if self._batch.add(packet, receipt) else Handover.NO_ROOM

    def send(self, message: Message) -> Handover:
        """See Link.send."""
        extra = properties.message_properties(message) if self._mqtt5 else None
        qos, retain = self._limits.qos, message.retain and self._limits.retain
        if not self._fits(message.topic, len(message.payload), extra, qos):
            return Handover.TOO_LARGE
        with self._sending:
            while self._sent and self._sent[0].is_published():
                self._sent.popleft()
            if len(self._sent) >= _MAX_SENT:
                return Handover.NO_ROOM
            sent = self._client.publish(message.topic, message.payload, qos, retain, extra)
            if (handover := _handover(sent)) is Handover.TAKEN:
                self._sent.append(sent)
            return handover

    def deliver(self, topic: str, payload: bytes) -> int | Handover:
        """The packet identifier if the message was taken. See Link.deliver."""
        qos = self._limits.qos
        if not self._fits(topic, len(payload), self._lasting, qos):
            return Handover.TOO_LARGE
        sent = self._client.publish(topic, payload, qos, False, self._lasting)
        return sent.mid if _handover(sent) is Handover.TAKEN else Handover.NO_ROOM

    def max_payload(self, message: Message) -> int:
        """Bytes of the largest payload that the message may have, whatever it has now."""
        extra = properties.message_properties(message) if self._mqtt5 else None
        overhead = packets.publish_size(message.topic, 0, len(_packed(extra)), 1)
        return self._limits.packet - overhead - 3  # the length itself takes 1 to 4 bytes

    def _fits(self, topic: str, payload: int, extra: Properties | None, qos: int) -> bool:
        properties_size = len(_packed(extra)) or (1 if self._mqtt5 else 0)
        return self._is_allowed(topic, packets.publish_size(topic, payload, properties_size, qos))

    def _is_allowed(self, topic: str, size: int) -> bool:
        if size > self._limits.packet:
            self._on_too_large(topic, size)
            return False
        if size > self.largest[0]:
            self.largest = size, topic
        return True


def _packed(extra: Properties | None) -> bytes:
    return b"" if extra is None else bytes(extra.pack())  # type: ignore[no-untyped-call]  # paho does not type it


def _handover(sent: MQTTMessageInfo) -> Handover:
    return Handover.TAKEN if sent.rc == MQTTErrorCode.MQTT_ERR_SUCCESS else Handover.NO_ROOM

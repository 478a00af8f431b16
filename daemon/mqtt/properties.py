"""The properties that MQTT 5 adds to what is sent, as paho takes them."""

from __future__ import annotations

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from daemon.mqtt.limits import BrokerLimits
from daemon.mqtt.outgoing import Message

_EXPIRES_AFTER = 60  # seconds; a message that is not retained is worth nothing to who gets it later
_LARGEST_PACKET = 65536  # bytes besides the payload's limit


def of_connect(largest: int) -> Properties:
    """Of a CONNECT: has the broker keep back messages with much more than `largest` bytes of payload."""
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho does not type it
    properties.MaximumPacketSize = _LARGEST_PACKET + largest
    return properties


def limits(connack: Properties | None) -> BrokerLimits:
    """What a broker allows by the properties of its CONNACK."""
    says = {"packet": "MaximumPacketSize", "qos": "MaximumQoS", "in_flight": "ReceiveMaximum"}
    says |= {"retain": "RetainAvailable", "wildcards": "WildcardSubscriptionAvailable"}
    return BrokerLimits(**{name: getattr(connack, theirs) for name, theirs in says.items() if hasattr(connack, theirs)})


def of_one(message: Message) -> Properties:
    """Of a message of its own kind."""
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # as above
    properties.ContentType = message.content_type
    if not message.retain:
        properties.MessageExpiryInterval = _EXPIRES_AFTER
    if message.correlation is not None:
        properties.CorrelationData = message.correlation
    return properties


def of_many(*, expires: bool) -> PublishProperties:
    """Of every JSON message."""
    properties = PublishProperties()
    properties.ContentType = "application/json"
    if expires:
        properties.MessageExpiryInterval = _EXPIRES_AFTER
    return properties


class PublishProperties(Properties):
    """Packed once: they are the same for every message, and paho spends half of its time on packing them."""

    _packed: bytes

    def __init__(self) -> None:
        super().__init__(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho does not type it
        # paho's own assignment knows only the names of MQTT's properties
        object.__setattr__(self, "_packed", b"")

    def pack(self) -> bytes:
        """The bytes as they are sent; all properties must have been set before the first call."""
        packed: bytes = self._packed or super().pack()  # type: ignore[no-untyped-call]  # as above
        object.__setattr__(self, "_packed", packed)
        return packed

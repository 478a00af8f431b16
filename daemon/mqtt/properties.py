"""MQTT 5 properties, as paho takes them."""

from __future__ import annotations

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from daemon.mqtt.limits import BrokerLimits
from daemon.mqtt.outgoing import Message

_EXPIRES_AFTER = 60  # seconds; a message that is not retained is useless later
_HEADROOM = 65536  # bytes of a received packet beside its payload


def connect_properties(max_payload: int) -> Properties:
    """Of a CONNECT: the broker drops messages to us that are much larger than `max_payload` bytes."""
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho does not type it
    properties.MaximumPacketSize = _HEADROOM + max_payload
    return properties


def broker_limits(connack: Properties | None) -> BrokerLimits:
    """The limits in a CONNACK; MQTT 3.1.1 announces none."""
    names = {"announced": "MaximumPacketSize", "qos": "MaximumQoS", "in_flight": "ReceiveMaximum"}
    names |= {"retain": "RetainAvailable", "wildcards": "WildcardSubscriptionAvailable"}
    return BrokerLimits(**{ours: getattr(connack, name) for ours, name in names.items() if hasattr(connack, name)})


def message_properties(message: Message) -> Properties:
    """Of one message with properties of its own."""
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # as above
    properties.ContentType = message.content_type
    if not message.retain:
        properties.MessageExpiryInterval = _EXPIRES_AFTER
    if message.correlation is not None:
        properties.CorrelationData = message.correlation
    if message.user_properties:
        properties.UserProperty = list(message.user_properties)
    return properties


def json_properties(*, expires: bool) -> PackedProperties:
    """Of every JSON message."""
    properties = PackedProperties()
    properties.ContentType = "application/json"
    if expires:
        properties.MessageExpiryInterval = _EXPIRES_AFTER
    return properties


class PackedProperties(Properties):
    """Properties of a PUBLISH that are packed once: paho spends half of its time per message on packing them."""

    _packed: bytes

    def __init__(self) -> None:
        super().__init__(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho does not type it
        # paho's __setattr__ takes the names of MQTT properties only
        object.__setattr__(self, "_packed", b"")

    def pack(self) -> bytes:
        """The packed bytes; set all properties before the first call."""
        packed: bytes = self._packed or super().pack()  # type: ignore[no-untyped-call]  # as above
        object.__setattr__(self, "_packed", packed)
        return packed

"""MQTT's PUBLISH packet at QoS 0, of which there is one for every frame. All other packets are paho's."""

from __future__ import annotations

_PUBLISH = 0x30  # QoS 0, not retained, no duplicate
_LARGEST = 268_435_455  # bytes, what the remaining length can say


def publish(topic: str, payload: bytes, properties: bytes) -> bytes:
    """The whole packet; `properties` as packed for MQTT 5, b"" for 3.1.1.

    Raises ValueError where MQTT has no packet so large.
    """
    name = topic.encode()
    remaining = 2 + len(name) + len(properties) + len(payload)
    if remaining > _LARGEST:
        raise ValueError(f"a message of {len(payload)} bytes on {topic} is larger than MQTT allows")
    head = bytearray((_PUBLISH,))
    while remaining > 127:
        head.append(remaining & 127 | 128)
        remaining >>= 7
    head.append(remaining)
    return b"".join((head, len(name).to_bytes(2, "big"), name, properties, payload))

"""Packs MQTT's PUBLISH at QoS 0, one for every frame, and sizes packets. paho packs everything else."""

from __future__ import annotations

_PUBLISH = 0x30  # QoS 0, not retained, not a duplicate
_RETAIN = 0x01
_MAX_REMAINING = 268_435_455  # bytes, the largest remaining length
MAX_PACKET = 5 + _MAX_REMAINING
"""bytes of the largest packet that MQTT allows"""


def publish(topic: str, payload: bytes, properties: bytes, *, retain: bool = False) -> bytes:
    """A complete packet of at most MAX_PACKET bytes; `properties` packed as for MQTT 5, b"" for 3.1.1."""
    name = topic.encode()
    remaining = 2 + len(name) + len(properties) + len(payload)
    head = bytearray((_PUBLISH | (_RETAIN if retain else 0),))
    while remaining > 127:
        head.append(remaining & 127 | 128)
        remaining >>= 7
    head.append(remaining)
    return b"".join((head, len(name).to_bytes(2, "big"), name, properties, payload))


def publish_size(topic: str, payload: int, properties: int, qos: int) -> int:
    """Bytes of a PUBLISH with so many bytes of payload and of packed properties."""
    remaining = 2 + len(topic.encode()) + (2 if qos else 0) + properties + payload
    return 1 + sum(remaining >= limit for limit in (0, 1 << 7, 1 << 14, 1 << 21)) + remaining


def subscribe_size(pattern: str) -> int:
    """Bytes of a SUBSCRIBE with one topic filter, at most."""
    return 5 + 2 + 1 + 2 + len(pattern.encode()) + 1

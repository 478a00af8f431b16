"""Limits of a broker."""

from __future__ import annotations

from dataclasses import dataclass, replace

from daemon.mqtt import packets

_RETAIN_NOT_SUPPORTED, _QOS_NOT_SUPPORTED = 154, 155


_NONE_REFUSED = packets.MAX_PACKET + 1


@dataclass(frozen=True, slots=True)
class BrokerLimits:
    """As announced in an MQTT 5 CONNACK; a limit that is not announced is MQTT's own."""

    announced: int = packets.MAX_PACKET
    """bytes: Maximum Packet Size"""
    qos: int = 1
    """Maximum QoS, 0 or 1; ospreyd does not use 2"""
    retain: bool = True
    """Retain Available"""
    wildcards: bool = True
    """Wildcard Subscription Available"""
    in_flight: int = 65535
    """unacknowledged messages at QoS 1: Receive Maximum"""
    refused: int = _NONE_REFUSED
    """bytes of the smallest packet that has ended a connection although the announced size allows it"""

    @property
    def packet(self) -> int:
        """Bytes of the largest packet that may be sent."""
        return min(self.announced, self.refused - 1)

    def after_connack(self, limits: BrokerLimits) -> BrokerLimits:
        """Those of a new CONNACK. A refused size counts as long as the broker announces what it did then."""
        return replace(limits, refused=self.refused if limits.announced == self.announced else _NONE_REFUSED)

    def after_refusal(self, code: int) -> BrokerLimits:
        """The limits after the broker has refused a CONNECT, possibly because of its last will."""
        if code == _RETAIN_NOT_SUPPORTED:
            return replace(self, retain=False)
        if code == _QOS_NOT_SUPPORTED:
            return replace(self, qos=0)
        return self

    def after_end(self, stable: bool) -> BrokerLimits:
        """What counts until the next CONNACK: a broker may have more to offer after a restart.

        A refused size counts for one stable connection, so that a message of that size does not end each.
        """
        return BrokerLimits(announced=self.announced, refused=_NONE_REFUSED if stable else self.refused)

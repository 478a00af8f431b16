"""Limits of a broker."""

from __future__ import annotations

from dataclasses import dataclass, replace

from daemon.mqtt import packets

_RETAIN_NOT_SUPPORTED, _QOS_NOT_SUPPORTED = 154, 155


@dataclass(frozen=True, slots=True)
class BrokerLimits:
    """As announced in an MQTT 5 CONNACK; a limit that is not announced is MQTT's own."""

    packet: int = packets.MAX_PACKET
    """bytes: Maximum Packet Size"""
    qos: int = 1
    """Maximum QoS, 0 or 1; ospreyd does not use 2"""
    retain: bool = True
    """Retain Available"""
    wildcards: bool = True
    """Wildcard Subscription Available"""
    refused: int = packets.MAX_PACKET + 1
    """bytes of the smallest packet for which the broker has ended a connection without having announced a limit"""
    in_flight: int = 65535
    """unacknowledged messages at QoS 1: Receive Maximum"""

    def announced(self, limits: BrokerLimits) -> BrokerLimits:
        """Those of another CONNACK, with what earlier connections have shown."""
        return replace(limits, refused=self.refused, packet=min(limits.packet, self.refused - 1))

    def after_refusal(self, code: int) -> BrokerLimits:
        """The limits after the broker has refused a CONNECT, possibly because of its last will."""
        if code == _RETAIN_NOT_SUPPORTED:
            return replace(self, retain=False)
        if code == _QOS_NOT_SUPPORTED:
            return replace(self, qos=0)
        return self

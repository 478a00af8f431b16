"""What a broker allows."""

from __future__ import annotations

from dataclasses import dataclass, replace

from daemon.mqtt import packets

_RETAIN_NOT_SUPPORTED, _QOS_NOT_SUPPORTED = 154, 155


@dataclass(frozen=True, slots=True)
class BrokerLimits:
    """As the broker says in its CONNACK with MQTT 5; where it says nothing, what MQTT itself allows."""

    packet: int = packets.LARGEST
    """bytes, the Maximum Packet Size"""
    qos: int = 1
    """the highest that may be sent, 0 or 1; 2 is not used"""
    retain: bool = True
    """it keeps retained messages"""
    wildcards: bool = True
    """it takes topic filters with + and #"""
    in_flight: int = 65535
    """messages at QoS 1 that may wait for its acknowledgement, the Receive Maximum"""

    def after_refusal(self, code: int) -> BrokerLimits:
        """What is known once it has refused a CONNECT, whose last will it may be that it does not take."""
        if code == _RETAIN_NOT_SUPPORTED:
            return replace(self, retain=False)
        if code == _QOS_NOT_SUPPORTED:
            return replace(self, qos=0)
        return self

"""paho's client for one connection, which also bears a refusal that MQTT does not foresee."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

_PACKET_TOO_LARGE = 149
_UNSPECIFIED = 128
_OF_PUBACK = frozenset({0, 16, 128, 131, 135, 144, 145, 151, 153})


class PahoClient(Client):
    """Some brokers refuse a message with a code that MQTT has for other packets only.

    Mosquitto does so beyond its `message_size_limit`. paho takes that for a broken packet and ends the connection.
    """

    def __init__(
        self,
        client_id: str,
        transport: Literal["tcp", "websockets"],
        *,
        mqtt5: bool,
        on_too_large: Callable[[str, int], None],
    ) -> None:
        """`on_too_large` gets topic and payload size, in bytes, of a message that the broker refuses as too large."""
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id,
            protocol=MQTTProtocolVersion.MQTTv5 if mqtt5 else MQTTProtocolVersion.MQTTv311,
            transport=transport,
            reconnect_on_failure=False,
        )
        self._told_too_large = on_too_large
        self.refused_as_too_large: int | None = None
        """packet identifier of the message that was refused so last"""

    def _handle_pubackcomp(self, cmd: Literal["PUBACK", "PUBCOMP"]) -> MQTTErrorCode:
        packet = self._in_packet["packet"]
        code = packet[2] if len(packet) > 2 and cmd == "PUBACK" else 0
        if code == _PACKET_TOO_LARGE:
            mid = int.from_bytes(packet[:2], "big")
            self.refused_as_too_large = mid
            if (message := self._out_messages.get(mid)) is not None:
                self._told_too_large(message.topic, len(message.payload))
        if code not in _OF_PUBACK:
            self._in_packet["packet"] = bytearray((*packet[:2], _UNSPECIFIED, *packet[3:]))
        return super()._handle_pubackcomp(cmd)

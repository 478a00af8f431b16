"""paho's client for one connection, tolerant of reason codes that MQTT does not allow in a PUBACK."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

from daemon.mqtt.failure_messages import PACKET_TOO_LARGE

_UNSPECIFIED = 128
_ALLOWED = frozenset({0, 16, 128, 131, 135, 144, 145, 151, 153})


class PahoClient(Client):
    """Replaces such a reason code by "unspecified error"; paho would end the connection with a protocol error.

    Mosquitto sends 149, "packet too large", for a message beyond its `message_size_limit`.
    """

    def __init__(
        self,
        client_id: str,
        transport: Literal["tcp", "websockets"],
        *,
        mqtt5: bool,
        on_too_large: Callable[[str, int], None],
    ) -> None:
        """`on_too_large` gets topic and payload size in bytes of a message that the broker refuses as too large."""
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id,
            protocol=MQTTProtocolVersion.MQTTv5 if mqtt5 else MQTTProtocolVersion.MQTTv311,
            transport=transport,
            reconnect_on_failure=False,
        )
        self._on_too_large = on_too_large
        self.refused_as_too_large: int | None = None
        """packet identifier of the last message that the broker refused as too large"""

    def _handle_pubackcomp(self, cmd: Literal["PUBACK", "PUBCOMP"]) -> MQTTErrorCode:
        packet = self._in_packet["packet"]
        code = packet[2] if len(packet) > 2 and cmd == "PUBACK" else 0
        if code == PACKET_TOO_LARGE:
            mid = int.from_bytes(packet[:2], "big")
            self.refused_as_too_large = mid
            if (message := self._out_messages.get(mid)) is not None:
                self._on_too_large(message.topic, len(message.payload))
        if code not in _ALLOWED:
            self._in_packet["packet"] = bytearray((*packet[:2], _UNSPECIFIED, *packet[3:]))
        return super()._handle_pubackcomp(cmd)

"""One connection to the broker: a paho client that is used once. The only user of paho."""

from __future__ import annotations

import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from daemon.config.schema import Mqtt
from daemon.errors import UsageError
from daemon.publish import reasons
from daemon.publish.topics import Topic

_ANSWER_WITHIN = 10.0  # seconds for the broker to answer a CONNECT
_ANSWER_MQTT5_WITHIN = 2.0  # some that know only 3.1.1 misread MQTT 5 and wait for more; they are asked again with it
_STABLE_AFTER = 60.0  # seconds, more than Backoff's ceiling: so two clients that take turns do not count as stable
_QUEUE = 256  # messages that wait for the socket, or for the broker's acknowledgement
_EXPIRES_AFTER = 60  # seconds; a message that is not retained is worth nothing to who gets it later


@dataclass(frozen=True, slots=True)
class Presence:
    """What tells others whether this client is there: the last will, and what is said on coming and going."""

    topic: Topic
    online: bytes
    offline: bytes


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message that the broker is to acknowledge."""

    connection: Connection
    mid: int
    """MQTT's packet identifier, unique among what that connection has under way"""


class _PublishProperties(Properties):
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


class Connection:
    """One connection, from opening to its end; a paho client that is used once, so that nothing is left over."""

    def __init__(
        self,
        config: Mqtt,
        client_id: str,
        mqtt5: bool,
        presence: Presence,
        tls: ssl.SSLContext | None,
        connected: Callable[[str], None],
        acknowledged: Callable[[Delivery, str], None],
    ) -> None:
        self._address = config.address
        self._keepalive = config.keepalive
        self._client_id = client_id
        self._presence = presence
        self._connected = connected
        self._acknowledged = acknowledged
        self._mqtt5 = mqtt5
        self._unsent: deque[MQTTMessageInfo] = deque()
        self._accepted_at = 0.0
        self.opening = True
        """the TCP or TLS handshake, which nobody can interrupt, has not ended"""
        self.accepted = False
        """the broker has let us in, once"""
        self.refused = False
        """the broker has answered that it does not let us in"""
        self.unanswered = False
        """the broker has not answered, or not in the version that it was asked in"""
        self.ended = ""
        """why it ended, one sentence"""
        self.abandoned = threading.Event()
        """set by who has no more use for it: it is closed without a DISCONNECT"""
        self._paho = self._client(config, tls)
        self._transient = self._properties(expires=True)
        self._retained = self._properties(expires=False)

    @property
    def was_stable(self) -> bool:
        """It has lasted long enough not to be counted as a failed attempt."""
        return self.accepted and time.monotonic() - self._accepted_at > _STABLE_AFTER

    def serve(self) -> None:
        """Opens the connection and works until it ends."""
        try:
            self._paho.connect(*self._address, keepalive=self._keepalive)
        except OSError as error:
            self.ended = reasons.unreachable(*self._address, error)
            return
        finally:
            self.opening = False
        try:
            self._serve()
        finally:
            if (sock := self._paho.socket()) is not None:
                sock.close()

    def publish(self, topic: str, payload: bytes, retain: bool) -> bool:
        """See Link.publish."""
        if not self.accepted:
            return False
        if retain:  # paho itself keeps its queue of acknowledged messages within bounds
            return self._paho.publish(topic, payload, 1, True, self._retained).rc == MQTTErrorCode.MQTT_ERR_SUCCESS
        while self._unsent and self._unsent[0].is_published():
            self._unsent.popleft()
        if len(self._unsent) >= _QUEUE:
            return False
        message = self._paho.publish(topic, payload, 0, False, self._transient)
        if message.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            return False
        self._unsent.append(message)
        return True

    def deliver(self, topic: str, payload: bytes) -> Delivery | None:
        """See Link.deliver."""
        if not self.accepted:
            return None
        message = self._paho.publish(topic, payload, 1, False, self._retained)
        return Delivery(self, message.mid) if message.rc == MQTTErrorCode.MQTT_ERR_SUCCESS else None

    def farewell(self, deadline: float) -> bool:
        """Says `offline`, waits until the broker has it, then disconnects; False if it did not work in time."""
        message = self._paho.publish(self._presence.topic.name, self._presence.offline, 1, True)
        if message.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            return False
        while not message.is_published():
            left = deadline - time.monotonic()
            if left <= 0 or self.ended:
                return False
            message.wait_for_publish(min(left, 0.1))
        self._paho.disconnect()
        return True

    def _serve(self) -> None:
        patience = _ANSWER_MQTT5_WITHIN if self._mqtt5 else _ANSWER_WITHIN
        answer_by = time.monotonic() + patience
        while self._paho.loop(1.0 if self.accepted else 0.05) == MQTTErrorCode.MQTT_ERR_SUCCESS:
            if self.ended or self.abandoned.is_set():
                return
            if not self.accepted and time.monotonic() > answer_by:
                self.unanswered = True
                self.ended = reasons.silent(*self._address, patience)
                return
        self.ended = self.ended or reasons.broken(
            *self._address, 0, not self.was_stable
        )  # paho does not always call back

    def _client(self, config: Mqtt, tls: ssl.SSLContext | None) -> Client:
        version = MQTTProtocolVersion.MQTTv5 if self._mqtt5 else MQTTProtocolVersion.MQTTv311
        client = Client(CallbackAPIVersion.VERSION2, self._client_id, protocol=version, reconnect_on_failure=False)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_socket_register_write = _leave_writing_to_the_loop
        client.max_queued_messages_set(_QUEUE)
        client.will_set(self._presence.topic.name, self._presence.offline, qos=1, retain=True)
        if config.username is not None:
            client.username_pw_set(config.username, config.password.get_secret_value() if config.password else None)
        if tls is not None:
            client.tls_set_context(tls)
        return client

    def _properties(self, *, expires: bool) -> Properties | None:
        if not self._mqtt5:
            return None
        properties = _PublishProperties()
        properties.ContentType = "application/json"
        if expires:
            properties.MessageExpiryInterval = _EXPIRES_AFTER
        return properties

    def _on_connect(
        self, client: Client, _user: object, _flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self.unanswered = reason.value == reasons.UNSUPPORTED_PROTOCOL_VERSION
            self.refused = not self.unanswered
            self.ended = reasons.refused(*self._address, reason.value, str(reason), self._client_id)
            return
        client.publish(self._presence.topic.name, self._presence.online, 1, True)
        self._accepted_at = time.monotonic()
        self.accepted = True
        spoken = "5" if self._mqtt5 else "3.1.1"
        self._connected(f"connected to {reasons.at(*self._address)} with MQTT {spoken}")

    def _on_publish(
        self, _client: Client, _user: object, mid: int, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        """Of QoS 0 too, when it is written to the socket; nobody waits for those."""
        self._acknowledged(Delivery(self, mid), str(reason) if reason.is_failure else "")

    def _on_disconnect(
        self, _client: Client, _user: object, flags: DisconnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if self.ended:
            return  # the refusal has said it
        self.unanswered = not self.accepted
        if flags.is_disconnect_packet_from_server:
            self.ended = reasons.lost(*self._address, reason.value, str(reason), self._client_id)
        elif self.accepted:
            self.ended = reasons.broken(*self._address, reason.value, not self.was_stable)
        else:
            self.ended = reasons.hung_up(*self._address)


def _leave_writing_to_the_loop(_client: Client, _user: object, _socket: object) -> None:
    """Its presence keeps paho from writing in the thread that publishes, beside the one that runs its loop."""


class _TlsSocket(ssl.SSLSocket):
    """Closes itself where the handshake fails, which paho leaves to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


def tls_context(config: Mqtt) -> ssl.SSLContext | None:
    """How to speak TLS, None where the configuration does not ask for it. Raises UsageError for a bad CA file."""
    if config.tls is None:
        return None
    try:
        context = ssl.create_default_context(cafile=config.tls.ca)
    except OSError as error:  # ssl.SSLError is one
        why = "no PEM certificate in it" if isinstance(error, ssl.SSLError) else error.strerror
        raise UsageError(f"mqtt.tls.ca: cannot read CA certificates from {config.tls.ca}: {why}") from None
    context.sslsocket_class = _TlsSocket
    return context

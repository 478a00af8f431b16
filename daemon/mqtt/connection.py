"""One connection to the broker, on a paho client of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from paho.mqtt.client import (
    Client,
    ConnectFlags,
    DisconnectFlags,
    WebsocketConnectionError,
)
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from daemon.config.mqtt import Mqtt
from daemon.mqtt import failure_messages, properties, sockets
from daemon.mqtt.batch_writer import BatchWriter
from daemon.mqtt.event_loop import EventLoop
from daemon.mqtt.incoming import Subscription
from daemon.mqtt.limits import BrokerLimits
from daemon.mqtt.message_writer import MessageWriter
from daemon.mqtt.outgoing import Delivery, DeliveryCallbacks, FrameReceipt, Handover, Message, Presence, Refusal
from daemon.mqtt.paho_client import PahoClient
from daemon.mqtt.subscriptions import Subscriptions
from daemon.mqtt.tls import TlsContext

_CONNACK_WITHIN = 10.0  # seconds to wait for a CONNACK
_CONNACK_MQTT5_WITHIN = 2.0  # some 3.1.1 brokers misread an MQTT 5 CONNECT and wait for more; 3.1.1 is tried next
_STABLE_AFTER = (
    60.0  # seconds, more than the longest backoff: two clients that take over each other's session are not stable
)
_QUEUE = 256  # unacknowledged messages
_IN_FLIGHT = 20  # of these, messages that are sent; paho's default


@dataclass(frozen=True, slots=True)
class Handlers:
    """Called in the thread that serves the connection."""

    on_connected: Callable[[str], None]
    """gets one sentence: to what and how"""
    on_denied: Callable[[str], None]
    """gets one sentence: what the broker does not allow or support"""
    on_too_large: Callable[[str, str], None]
    """gets the topic of a message that is too large, and one sentence; also called in the thread that hands it over"""
    delivery: DeliveryCallbacks
    subscription: Subscription | None


class Connection:
    """One connection, from opening to its end. Its paho client is never reused, so no state is left over."""

    def __init__(
        self,
        config: Mqtt,
        client_id: str,
        mqtt5: bool,
        presence: Presence | None,
        tls: TlsContext | None,
        limits: BrokerLimits,
        handlers: Handlers,
    ) -> None:
        """`limits` of the broker as known from earlier connections, until its CONNACK."""
        self._address = config.address
        self._keepalive = config.keepalive
        self._websockets = config.transport == "websockets"
        self._client_id = client_id
        self._presence = presence
        self._handlers = handlers
        self._subscriptions = Subscriptions(handlers.subscription, self._denied)
        self._tls = tls
        self._mqtt5 = mqtt5
        self._accepted_at = 0.0
        self._online: int | None = None
        """packet identifier of the `online` message until it is acknowledged"""
        self.limits = limits
        """the broker's, as far as they are known"""
        self.opening = True
        """during the TCP and TLS handshakes, which cannot be interrupted"""
        self.accepted = False
        """CONNACK received with success"""
        self.refused = False
        """CONNACK received with a failure other than the protocol version"""
        self.no_answer = False
        """no CONNACK, or one that says that the protocol version is not supported"""
        self.timed_out = False
        """no CONNACK in time"""
        self.end_reason = ""
        """one sentence"""
        self.abandon = threading.Event()
        """set to close the connection without a DISCONNECT"""
        self._paho = self._client(config)

    @property
    def was_stable(self) -> bool:
        """Whether it lasted long enough not to count as a failed attempt."""
        return self.accepted and time.monotonic() - self._accepted_at > _STABLE_AFTER

    def serve(self) -> None:
        """Opens the connection and serves it until it ends."""
        loop = EventLoop(self._paho)
        self._batch = BatchWriter(self._handlers.delivery.on_written, loop.wake)
        self._paho.on_socket_register_write = lambda _client, _user, _socket: loop.wake()
        if self._tls is not None:
            self._tls.alert = ""
        try:
            self._open()
            if not self.end_reason:
                self._serve(loop)
        finally:
            loop.close()
            self._handlers.delivery.on_lost(self._batch.close())

    def publish(self, topic: str, payload: bytes, retain: bool, receipt: FrameReceipt | None) -> Handover:
        """See Link.publish."""
        return self._writer.publish(topic, payload, retain, receipt) if self.accepted else Handover.NO_ROOM

    def send(self, message: Message) -> Handover:
        """See Link.send."""
        return self._writer.send(message) if self.accepted else Handover.NO_ROOM

    def deliver(self, topic: str, payload: bytes) -> Delivery | Handover:
        """See Link.deliver."""
        if not self.accepted:
            return Handover.NO_ROOM
        self._paho.on_publish = self._on_publish
        taken = self._writer.deliver(topic, payload)
        return taken if isinstance(taken, Handover) else Delivery(self, taken)

    def max_payload(self, message: Message) -> int | None:
        """See Link.max_payload."""
        return self._writer.max_payload(message) if self.accepted else None

    def disconnect(self, deadline: float) -> bool:
        """Publishes `offline`, waits for its acknowledgement and disconnects; False if it is not done by `deadline`."""
        if not self._batch.wait_written(max(0.0, deadline - time.monotonic())):
            return False
        message = (
            None if self._presence is None else self._writer.presence(self._presence.topic.name, self._presence.offline)
        )
        if message is None:
            self._paho.disconnect()
            return True
        if message.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            return False
        while not message.is_published():
            left = deadline - time.monotonic()
            if left <= 0 or self.end_reason:
                return False
            message.wait_for_publish(min(left, 0.1))
        self._paho.disconnect()
        return True

    def _open(self) -> None:
        try:
            limits = properties.connect_properties(self._subscriptions.max_payload) if self._mqtt5 else None
            self._paho.connect(*self._address, keepalive=self._keepalive, properties=limits)
            self._adjust_socket()
        except WebsocketConnectionError:
            self.end_reason = failure_messages.no_websocket(*self._address)
        except (OSError, UnicodeError) as error:
            self.end_reason = failure_messages.unreachable(*self._address, error)
        finally:
            self.opening = False

    def _adjust_socket(self) -> None:
        if (sock := self._paho.socket()) is not None:
            sockets.disable_nagle(sock)
            if self._websockets:
                sockets.resume_partial_writes(sock)

    def _serve(self, loop: EventLoop) -> None:
        within = _CONNACK_MQTT5_WITHIN if self._mqtt5 else _CONNACK_WITHIN
        deadline = time.monotonic() + within
        while loop.run_once(self._batch, 1.0 if self.accepted else 0.05):
            if self.end_reason or self.abandon.is_set():
                return
            if not self.accepted and time.monotonic() > deadline:
                self.no_answer = self.timed_out = True
                self.end_reason = failure_messages.silent(*self._address, within)
                return
        self.end_reason = self.end_reason or failure_messages.broken(
            *self._address, 0, not self.was_stable
        )  # paho does not always call on_disconnect

    def _client(self, config: Mqtt) -> PahoClient:
        client = PahoClient(
            self._client_id, config.transport, mqtt5=self._mqtt5, on_too_large=self._refused_as_too_large
        )
        client.ws_set_options(config.path)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._subscriptions.on_subscribe
        client.on_message = self._subscriptions.on_message
        client.max_queued_messages_set(_QUEUE)
        if self._presence is not None:
            will = self._presence.topic.name, self._presence.offline
            client.will_set(*will, qos=self.limits.qos, retain=self.limits.retain)
        if config.username is not None:
            client.username_pw_set(config.username, config.password.get_secret_value() if config.password else None)
        if self._tls is not None:
            client.tls_set_context(self._tls)
        return client

    def _on_connect(
        self, client: Client, _user: object, _flags: ConnectFlags, reason: ReasonCode, connack: Properties | None
    ) -> None:
        if reason.is_failure:
            self.no_answer = reason.value == failure_messages.UNSUPPORTED_PROTOCOL_VERSION
            self.refused = not self.no_answer
            self.limits = self.limits.after_refusal(reason.value)
            self.end_reason = failure_messages.refused(*self._address, reason.value, str(reason), self._client_id)
            return
        self._begin(client, connack)
        self._accepted_at = time.monotonic()
        self.accepted = True
        version = "5" if self._mqtt5 else "3.1.1"
        if assigned := getattr(connack, "AssignedClientIdentifier", ""):
            self._client_id = assigned
        client_id = f" as client {assigned}" if assigned else ""
        self._handlers.on_connected(
            f"connected to {failure_messages.at(*self._address)} with MQTT {version}{client_id}"
        )

    def _begin(self, client: Client, connack: Properties | None) -> None:
        """Sends the first messages of an accepted connection."""
        self.limits = self.limits.after_connack(properties.broker_limits(connack))
        # paho's setter refuses to change it on a connection, where the broker announces it
        client._max_inflight_messages = min(_IN_FLIGHT, self.limits.in_flight)
        for sentence in failure_messages.unsupported(*self._address, qos=self.limits.qos, retain=self.limits.retain):
            self._handlers.on_denied(sentence)
        self._writer = MessageWriter(
            client, self._batch, self.limits, mqtt5=self._mqtt5, on_too_large=self._exceeds_packet_size
        )
        presence = self._presence
        if presence is not None and (online := self._writer.presence(presence.topic.name, presence.online)) is not None:
            self._online = online.mid
            client.on_publish = self._on_publish
        self._subscriptions.subscribe(client, self.limits)

    def _denied(self, pattern: str, meaning: str) -> None:
        self._handlers.on_denied(failure_messages.denied(*self._address, pattern, meaning))

    def _exceeds_packet_size(self, topic: str, size: int) -> None:
        self._handlers.on_too_large(topic, failure_messages.too_large(*self._address, topic, size, self.limits.packet))

    def _refused_as_too_large(self, topic: str, size: int) -> None:
        self._handlers.on_too_large(topic, failure_messages.refused_as_too_large(*self._address, topic, size))

    def _on_disconnect(
        self, _client: Client, _user: object, flags: DisconnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if self.end_reason:
            return  # the CONNACK gave the reason
        self.no_answer = not self.accepted
        if (
            flags.is_disconnect_packet_from_server
            and self.accepted
            and reason.value == failure_messages.PACKET_TOO_LARGE
        ):
            size, topic = self._writer.largest
            self.limits = replace(self.limits, refused=size or self.limits.refused)
            self.end_reason = failure_messages.ended_as_too_large(*self._address, topic, size)
        elif flags.is_disconnect_packet_from_server:
            self.end_reason = failure_messages.lost(*self._address, reason.value, str(reason), self._client_id)
        elif self.accepted:
            self.end_reason = failure_messages.broken(*self._address, reason.value, not self.was_stable)
        else:
            self.end_reason = failure_messages.hung_up(*self._address)
        if self._tls is not None and self._tls.alert:
            self.no_answer = False  # the protocol version is not the reason
            self.end_reason = failure_messages.rejected_by_tls(*self._address, self._tls.alert)

    def _on_publish(
        self, client: Client, _user: object, mid: int, code: ReasonCode, _properties: Properties | None
    ) -> None:
        """Set only while an acknowledgement is of interest: each call costs paho 16 us. MQTT 3.1.1 has no failures."""
        if mid == self._online:
            self._online = None
            if code.is_failure:
                self._handlers.on_denied(failure_messages.forbidden(*self._address, str(code)))
        refusal = Refusal(str(code), final=mid == self._paho.refused_as_too_large) if code.is_failure else None
        self._handlers.delivery.on_acknowledged(Delivery(self, mid), refusal)
        if not self._is_awaiting():
            client.on_publish = None
            if self._is_awaiting():  # another thread has delivered a message meanwhile
                client.on_publish = self._on_publish

    def _is_awaiting(self) -> bool:
        return self._online is not None or self._handlers.delivery.is_awaiting()

"""One connection to the broker: a paho client that is used once. With properties.py the only user of paho."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from paho.mqtt.client import (
    Client,
    ConnectFlags,
    DisconnectFlags,
    MQTTMessageInfo,
    WebsocketConnectionError,
)
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from daemon.config.mqtt import Mqtt
from daemon.mqtt import failure_messages, properties, sockets
from daemon.mqtt.batch_writer import Bursts
from daemon.mqtt.event_loop import Loop
from daemon.mqtt.incoming import Subscription
from daemon.mqtt.limits import BrokerLimits
from daemon.mqtt.message_writer import MessageWriter
from daemon.mqtt.outgoing import Delivery, Handed, Handover, Message, Outcomes, Presence, Refusal
from daemon.mqtt.paho_client import PahoClient
from daemon.mqtt.subscriptions import Subscriptions
from daemon.mqtt.tls import TlsContext

_ANSWER_WITHIN = 10.0  # seconds for the broker to answer a CONNECT
_ANSWER_MQTT5_WITHIN = 2.0  # some that know only 3.1.1 misread MQTT 5 and wait for more; they are asked again with it
_STABLE_AFTER = 60.0  # seconds, more than Backoff's ceiling: so two clients that take turns do not count as stable
_QUEUE = 256  # messages that wait for the broker's acknowledgement
_IN_FLIGHT = 20  # messages that the broker has not acknowledged, as paho has it; the others wait


@dataclass(frozen=True, slots=True)
class Handlers:
    """What a connection tells, in the thread that serves it."""

    connected: Callable[[str], None]
    """how, one sentence"""
    denied: Callable[[str], None]
    """what the broker does not let us do, one sentence"""
    too_large: Callable[[str, str], None]
    """topic of a message that the broker does not take, and one sentence that says so"""
    outcomes: Outcomes
    subscription: Subscription | None


class Connection:
    """One connection, from opening to its end; a paho client that is used once, so that nothing is left over."""

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
        """`limits`: what is known of the broker, until it says so itself."""
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
        """the message that says so, while the broker has not acknowledged it"""
        self.limits = limits
        """what the broker allows, as far as it is known"""
        self.opening = True
        """the TCP or TLS handshake, which nobody can interrupt, has not ended"""
        self.accepted = False
        """the broker has let us in, once"""
        self.refused = False
        """the broker has answered that it does not let us in"""
        self.unanswered = False
        """the broker has not answered, or not in the version that it was asked in"""
        self.silent = False
        """it has not even hung up: only the time limit has shown that no answer comes"""
        self.ended = ""
        """why it ended, one sentence"""
        self.abandoned = threading.Event()
        """set by who has no more use for it: it is closed without a DISCONNECT"""
        self._paho = self._client(config)

    @property
    def was_stable(self) -> bool:
        """It has lasted long enough not to be counted as a failed attempt."""
        return self.accepted and time.monotonic() - self._accepted_at > _STABLE_AFTER

    def serve(self) -> None:
        """Opens the connection and works until it ends."""
        loop = Loop(self._paho)
        self._bursts = Bursts(self._handlers.outcomes.written, loop.wake)
        self._paho.on_socket_register_write = lambda _client, _user, _socket: loop.wake()
        if self._tls is not None:
            self._tls.alert = ""
        try:
            self._open()
            if not self.ended:
                self._serve(loop)
        finally:
            loop.close()
            self._handlers.outcomes.lost(self._bursts.close())

    def publish(self, topic: str, payload: bytes, retain: bool, of: Handed | None) -> Handover:
        """See Link.publish."""
        return self._writer.publish(topic, payload, retain, of) if self.accepted else Handover.NO_ROOM

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

    def largest(self, message: Message) -> int | None:
        """See Link.largest."""
        return self._writer.largest(message) if self.accepted else None

    def farewell(self, deadline: float) -> bool:
        """Says `offline`, waits until the broker has it, then disconnects; False if it did not work in time."""
        if not self._bursts.wait_written(max(0.0, deadline - time.monotonic())):
            return False
        if self._presence is None:
            self._paho.disconnect()
            return True
        message = self._say_presence(self._presence.offline)
        if message.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            return False
        while not message.is_published():
            left = deadline - time.monotonic()
            if left <= 0 or self.ended:
                return False
            message.wait_for_publish(min(left, 0.1))
        self._paho.disconnect()
        return True

    def _open(self) -> None:
        try:
            limits = properties.of_connect(self._subscriptions.largest) if self._mqtt5 else None
            self._paho.connect(*self._address, keepalive=self._keepalive, properties=limits)
            self._prepare()
        except WebsocketConnectionError:
            self.ended = failure_messages.no_websocket(*self._address)
        except OSError as error:
            self.ended = failure_messages.unreachable(*self._address, error)
        finally:
            self.opening = False

    def _prepare(self) -> None:
        if (sock := self._paho.socket()) is not None:
            sockets.send_at_once(sock)
            if self._websockets:
                sockets.keep_parts(sock)

    def _serve(self, loop: Loop) -> None:
        patience = _ANSWER_MQTT5_WITHIN if self._mqtt5 else _ANSWER_WITHIN
        answer_by = time.monotonic() + patience
        while loop.turn(self._bursts, 1.0 if self.accepted else 0.05):
            if self.ended or self.abandoned.is_set():
                return
            if not self.accepted and time.monotonic() > answer_by:
                self.unanswered = self.silent = True
                self.ended = failure_messages.silent(*self._address, patience)
                return
        self.ended = self.ended or failure_messages.broken(
            *self._address, 0, not self.was_stable
        )  # paho does not always call back

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
            self.unanswered = reason.value == failure_messages.UNSUPPORTED_PROTOCOL_VERSION
            self.refused = not self.unanswered
            self.limits = self.limits.after_refusal(reason.value)
            self.ended = failure_messages.refused(*self._address, reason.value, str(reason), self._client_id)
            return
        self._begin(client, connack)
        self._accepted_at = time.monotonic()
        self.accepted = True
        spoken = "5" if self._mqtt5 else "3.1.1"
        self._handlers.connected(f"connected to {failure_messages.at(*self._address)} with MQTT {spoken}")

    def _begin(self, client: Client, connack: Properties | None) -> None:
        """What comes first on a connection that the broker has accepted."""
        if self._mqtt5:
            self.limits = properties.limits(connack)
        # by its property only a client that is not connected takes it, and until now the broker has not said it
        client._max_inflight_messages = min(_IN_FLIGHT, self.limits.in_flight)
        for sentence in failure_messages.missing(*self._address, qos=self.limits.qos, retain=self.limits.retain):
            self._handlers.denied(sentence)
        self._writer = MessageWriter(
            client, self._bursts, self.limits, mqtt5=self._mqtt5, too_large=self._told_too_large
        )
        if self._presence is not None:
            self._online = self._say_presence(self._presence.online).mid
            client.on_publish = self._on_publish
        self._subscriptions.begin(client, self.limits)

    def _say_presence(self, payload: bytes) -> MQTTMessageInfo:
        """To be called where there is a presence."""
        topic = self._presence.topic.name if self._presence else ""
        return self._paho.publish(topic, payload, self.limits.qos, self.limits.retain)

    def _denied(self, pattern: str, meaning: str) -> None:
        self._handlers.denied(failure_messages.denied(*self._address, pattern, meaning))

    def _told_too_large(self, topic: str, size: int) -> None:
        self._handlers.too_large(topic, failure_messages.too_large(*self._address, topic, size, self.limits.packet))

    def _refused_as_too_large(self, topic: str, size: int) -> None:
        self._handlers.too_large(topic, failure_messages.refused_as_too_large(*self._address, topic, size))

    def _on_disconnect(
        self, _client: Client, _user: object, flags: DisconnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if self.ended:
            return  # the refusal has said it
        self.unanswered = not self.accepted
        if flags.is_disconnect_packet_from_server:
            self.ended = failure_messages.lost(*self._address, reason.value, str(reason), self._client_id)
        elif self.accepted:
            self.ended = failure_messages.broken(*self._address, reason.value, not self.was_stable)
        else:
            self.ended = failure_messages.hung_up(*self._address)
        if self._tls is not None and self._tls.alert:
            self.unanswered = False  # it is not the version
            self.ended = failure_messages.rejected_by_tls(*self._address, self._tls.alert)

    def _on_publish(
        self, client: Client, _user: object, mid: int, code: ReasonCode, _properties: Properties | None
    ) -> None:
        """With MQTT 5 the broker says if it will not have a message. It costs paho 16 us to tell, of any message."""
        if mid == self._online:
            self._online = None
            if code.is_failure:
                self._handlers.denied(failure_messages.forbidden(*self._address, str(code)))
        refusal = Refusal(str(code), final=mid == self._paho.refused_as_too_large) if code.is_failure else None
        self._handlers.outcomes.told(Delivery(self, mid), refusal)
        if not self._awaits():
            client.on_publish = None
            if self._awaits():  # since just now
                client.on_publish = self._on_publish

    def _awaits(self) -> bool:
        return self._online is not None or self._handlers.outcomes.awaited()

"""Keeps a connection to the broker: connects in the background and reconnects after every loss."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from daemon.config.mqtt import Mqtt
from daemon.errors import UsageError
from daemon.mqtt import failure_messages
from daemon.mqtt.connection import Connection, Handlers
from daemon.mqtt.incoming import Subscription
from daemon.mqtt.limits import BrokerLimits
from daemon.mqtt.outgoing import Delivery, DeliveryCallbacks, FrameReceipt, Handover, Message, Presence
from daemon.mqtt.tls import TlsContext, tls_context
from daemon.system.backoff import Backoff
from daemon.system.log_states import state_of
from daemon.system.thread_scheduling import request_short_slice
from daemon.system.worker_thread import WorkerThread

log = logging.getLogger("ospreyd.mqtt")

_SKIP_MQTT5 = 3600.0  # seconds during which a broker that does not respond to an MQTT 5 CONNECT is not sent another
_PATIENCE, _ROOM_AGAIN = 2.0, 0.02  # seconds; how long and how often it is looked for room


@dataclass(frozen=True, slots=True)
class LinkState:
    """State of the connection to the broker."""

    connected: bool
    detail: str
    """one sentence: connected to what and how, or why not"""


class Link:
    """Owns the thread `mqtt:<client_id>`, which connects and reconnects until it is stopped.

    It tries MQTT 5, then 3.1.1. It calls `on_state` at every change of the state and `on_fatal` with the exception that
    ends it; without `on_state` it logs no state either, as for a second link. It subscribes at every connect and reads
    the files of `mqtt.tls` at every attempt: one that cannot be used then is a state, at the start a UsageError.
    """

    def __init__(
        self,
        config: Mqtt,
        client_id: str,
        presence: Presence | None,
        on_state: Callable[[LinkState], None] | None,
        on_fatal: Callable[[BaseException], None],
        subscription: Subscription | None = None,
        callbacks: DeliveryCallbacks | None = None,
    ) -> None:
        self._config = config
        self._client_id = client_id
        self._presence = presence
        tls_context(config.tls)  # raises for files that cannot be used
        self._callbacks = callbacks or DeliveryCallbacks()
        self._handlers = Handlers(self._connected, self._denied, self._too_large, self._callbacks, subscription)
        self._limits = BrokerLimits()
        """the broker's, as far as they are known before its CONNACK"""
        self._on_state = on_state
        self._backoff = Backoff()
        self._logged = ""
        self._logged_topics: set[str] = set()
        """topics whose messages are too large for the broker, as was logged"""
        self._state = LinkState(connected=False, detail=f"{failure_messages.at(*config.address)} has not answered yet")
        self._connection: Connection | None = None
        self._stopping = threading.Event()
        self._thread = WorkerThread(f"mqtt:{client_id}", self._run, on_fatal)

    def start(self) -> None:
        """Starts to connect; returns at once."""
        self._thread.start()

    @property
    def state(self) -> LinkState:
        """The current state."""
        return self._state

    def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, receipt: FrameReceipt | None = None
    ) -> Handover:
        """Hands over a JSON message, from any thread: at QoS 1 if retained, else at QoS 0.

        The callbacks report what becomes of a QoS 0 message that has a receipt.
        """
        connection = self._connection
        return Handover.NO_ROOM if connection is None else connection.publish(topic, payload, retain, receipt)

    def send(self, message: Message, *, patiently: bool = False) -> Handover:
        """Hands over a message at QoS 1, from any thread; `patiently` waits a little for room, if there is a broker."""
        until = time.monotonic() + (_PATIENCE if patiently else 0.0)
        while True:
            connection = self._connection
            handover = Handover.NO_ROOM if connection is None else connection.send(message)
            if handover is not Handover.NO_ROOM or not self.state.connected or time.monotonic() >= until:
                return handover
            time.sleep(_ROOM_AGAIN)

    def max_payload(self, message: Message) -> int | None:
        """Bytes of the largest payload that this message may have; None: not connected."""
        connection = self._connection
        return None if connection is None else connection.max_payload(message)

    def deliver(self, topic: str, payload: bytes) -> Delivery | Handover:
        """Hands over a JSON message at QoS 1, from any thread; `on_acknowledged` gets the Delivery later.

        If the broker supports QoS 0 only, the message counts as acknowledged once it is written.
        """
        connection = self._connection
        return Handover.NO_ROOM if connection is None else connection.deliver(topic, payload)

    def stop(self, timeout: float) -> bool:
        """Sends queued messages, publishes `offline` and disconnects; False if that took longer than `timeout` seconds.

        Then the connection is closed without a DISCONNECT, so that the broker publishes the last will.
        """
        deadline = time.monotonic() + timeout
        self._stopping.set()
        connection = self._connection
        if connection is None:  # between two attempts to connect
            return self._thread.join(timeout)
        parted = connection.accepted and connection.disconnect(deadline)
        clean = parted or not connection.accepted
        if not parted:
            connection.abandon.set()
        if connection.opening:  # a TCP or TLS handshake cannot be interrupted
            return clean
        ended = self._thread.join(max(0.0, deadline - time.monotonic()))
        connection.abandon.set()
        return clean and ended

    def _run(self) -> None:
        request_short_slice()
        mqtt5 = True
        mqtt5_again_at = 0.0
        """time.monotonic() before which MQTT 5 is not tried"""
        while not self._stopping.is_set():
            try:
                tls = tls_context(self._config.tls)  # at each attempt: certificates may be renewed on disk
            except UsageError as error:
                self._set_state(LinkState(connected=False, detail=str(error)))
                self._stopping.wait(self._backoff.next())
                continue
            connection = self._attempt(mqtt5, tls)
            if connection.refused and connection.limits != self._limits:
                self._limits = connection.limits
                continue  # retry at once with a last will that the broker accepts
            self._limits = connection.limits.after_end(connection.was_stable)
            if connection.no_answer:
                mqtt5_again_at = time.monotonic() + _SKIP_MQTT5 if connection.timed_out and mqtt5 else 0.0
            if connection.no_answer and mqtt5:
                mqtt5 = False  # the broker may not support MQTT 5
                continue
            if connection.was_stable:
                self._backoff.reset()
                self._logged = ""
                self._logged_topics.clear()
            if self._stopping.is_set():
                break
            self._set_state(LinkState(connected=False, detail=connection.end_reason))
            # a refusal shows that the broker supports the version; any other failure does not
            mqtt5 = mqtt5 or not (connection.refused or time.monotonic() < mqtt5_again_at)
            self._stopping.wait(self._backoff.next())
        parted = "disconnected from" if self._state.connected else "stopped without a connection to"
        self._set_state(LinkState(connected=False, detail=f"{parted} {failure_messages.at(*self._config.address)}"))

    def _attempt(self, mqtt5: bool, tls: TlsContext | None) -> Connection:
        """Connects once and serves the connection until it ends."""
        connection = Connection(self._config, self._client_id, mqtt5, self._presence, tls, self._limits, self._handlers)
        self._connection = connection
        try:
            if not self._stopping.is_set():  # stop() may have found no connection to close
                connection.serve()
        finally:
            self._connection = None
        if connection.accepted and (subscription := self._handlers.subscription) is not None:
            self._handlers = replace(self._handlers, subscription=replace(subscription, once=()))
        return connection

    def _connected(self, detail: str) -> None:
        self._set_state(LinkState(connected=True, detail=detail))

    def _denied(self, detail: str) -> None:
        log.warning("%s", detail)

    def _too_large(self, topic: str, detail: str) -> None:
        """Logs each topic once."""
        if topic not in self._logged_topics:
            self._logged_topics.add(topic)
            log.warning("%s", detail)
        self._callbacks.on_too_large()

    def _set_state(self, state: LinkState) -> None:
        """Logs repeated failures once."""
        before, self._state = self._state, state
        if self._on_state is None:
            return
        if state.connected or self._stopping.is_set():
            log.info("%s", state.detail, extra=state_of("broker"))
        elif before.connected or state.detail != self._logged:
            log.warning("%s", state.detail, extra=state_of("broker"))
            self._logged = state.detail
        self._on_state(state)

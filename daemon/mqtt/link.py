"""The connection to the broker, made in the background and made again whenever it is gone."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from daemon.config.mqtt import Mqtt
from daemon.errors import UsageError
from daemon.mqtt import failure_messages
from daemon.mqtt.connection import Connection, Handlers
from daemon.mqtt.incoming import Subscription
from daemon.mqtt.limits import BrokerLimits
from daemon.mqtt.outgoing import Delivery, Handed, Handover, Message, Outcomes, Presence
from daemon.mqtt.tls import TlsContext, tls_context
from daemon.system.backoff import Backoff
from daemon.system.thread_scheduling import request_short_slice
from daemon.system.worker_thread import WorkerThread

log = logging.getLogger("ospreyd.mqtt")

_REMEMBER = 3600.0  # seconds that a broker which answers only MQTT 3.1.1, and waits with MQTT 5, is not asked for 5


@dataclass(frozen=True, slots=True)
class LinkState:
    """How the connection to the broker stands."""

    connected: bool
    detail: str
    """one sentence for a person: connected to what and how, or why not"""


class Link:
    """Connects in a thread named `mqtt:<client_id>`, and again whenever the connection is gone, until it is stopped.

    Tries MQTT 5 first and 3.1.1 where the broker will not have it. `on_state` is called from that thread at every
    change, `on_fatal` with the exception that ends it; without `on_state` nothing is logged either, as for a second
    link. Subscribes at every connect, and reads the files of `mqtt.tls` at every attempt. Raises UsageError where one
    of them cannot be used; where that happens later, the state says so and the next attempt reads them again.
    """

    def __init__(
        self,
        config: Mqtt,
        client_id: str,
        presence: Presence | None,
        on_state: Callable[[LinkState], None] | None,
        on_fatal: Callable[[BaseException], None],
        subscription: Subscription | None = None,
        outcomes: Outcomes | None = None,
    ) -> None:
        self._config = config
        self._client_id = client_id
        self._presence = presence
        tls_context(config.tls)  # for its errors: a file that cannot be used at the start never could
        self._outcomes = outcomes or Outcomes()
        self._handlers = Handlers(self._connected, self._denied, self._too_large, self._outcomes, subscription)
        self._limits = BrokerLimits()
        """what is known of the broker"""
        self._on_state = on_state
        self._backoff = Backoff()
        self._told = ""
        self._told_large: set[str] = set()
        """topics of messages that the broker does not take, of which that was logged"""
        self._state = LinkState(connected=False, detail=f"{failure_messages.at(*config.address)} has not answered yet")
        self._connection: Connection | None = None
        self._stopping = threading.Event()
        self._thread = WorkerThread(f"mqtt:{client_id}", self._run, on_fatal)

    def start(self) -> None:
        """Begins to connect; returns at once."""
        self._thread.start()

    @property
    def state(self) -> LinkState:
        """How the connection stands now."""
        return self._state

    def publish(self, topic: str, payload: bytes, *, retain: bool = False, of: Handed | None = None) -> Handover:
        """Hands a JSON message to the network: QoS 1 if retained, else QoS 0; for any thread.

        What becomes of a message at QoS 0 that is taken is told `of` it.
        """
        connection = self._connection
        return Handover.NO_ROOM if connection is None else connection.publish(topic, payload, retain, of)

    def send(self, message: Message) -> Handover:
        """Hands a message to the network, QoS 1; from any thread."""
        connection = self._connection
        return Handover.NO_ROOM if connection is None else connection.send(message)

    def largest(self, message: Message) -> int | None:
        """Bytes of payload that the broker takes in this message, whose own does not count; None: not connected."""
        connection = self._connection
        return None if connection is None else connection.largest(message)

    def deliver(self, topic: str, payload: bytes) -> Delivery | Handover:
        """Hands a JSON message to the network at QoS 1; for any thread.

        Who waits for acknowledgements gets what is returned here, from the link's thread, when the broker has answered.
        A broker that takes QoS 0 only acknowledges nothing: then it counts as answered when it is written.
        """
        connection = self._connection
        return Handover.NO_ROOM if connection is None else connection.deliver(topic, payload)

    def stop(self, timeout: float) -> bool:
        """Sends what is waiting, says goodbye and disconnects; False if the broker did not confirm it in time.

        Where it did not, the connection is cut without a DISCONNECT, so that the broker publishes the last will.
        """
        deadline = time.monotonic() + timeout
        self._stopping.set()
        connection = self._connection
        if connection is None:  # between two attempts
            return self._thread.join(timeout)
        parted = connection.accepted and connection.farewell(deadline)
        clean = parted or not connection.accepted
        if not parted:
            connection.abandoned.set()
        if connection.opening:  # nobody can hurry a TCP or TLS handshake; its thread ends after it
            return clean
        ended = self._thread.join(max(0.0, deadline - time.monotonic()))
        connection.abandoned.set()
        return clean and ended

    def _run(self) -> None:
        request_short_slice()
        mqtt5 = True
        waits_with_5 = 0.0
        """until when the broker is known to give no answer to MQTT 5, time.monotonic()"""
        while not self._stopping.is_set():
            try:
                tls = tls_context(self._config.tls)  # read at each attempt: certificates are renewed on disk
            except UsageError as error:
                self._tell(LinkState(connected=False, detail=str(error)))
                self._stopping.wait(self._backoff.next())
                continue
            connection = self._attempt(mqtt5, tls)
            learnt, self._limits = connection.limits != self._limits, connection.limits
            if connection.refused and learnt:
                continue  # ask again at once, without the last will that the broker does not take
            if connection.unanswered:
                waits_with_5 = time.monotonic() + _REMEMBER if connection.silent and mqtt5 else 0.0
            if connection.unanswered and mqtt5:
                mqtt5 = False  # the broker may not know this version; ask at once with the older
                continue
            if connection.was_stable:
                self._backoff.reset()
                self._told = ""
                self._told_large.clear()
            if self._stopping.is_set():
                break
            self._tell(LinkState(connected=False, detail=connection.ended))
            # A refusal was in words that the broker knows; anything else says nothing about its version.
            mqtt5 = mqtt5 or not (connection.refused or time.monotonic() < waits_with_5)
            self._stopping.wait(self._backoff.next())
        self._tell(LinkState(connected=False, detail=f"disconnected from {failure_messages.at(*self._config.address)}"))

    def _attempt(self, mqtt5: bool, tls: TlsContext | None) -> Connection:
        """Connects once and serves the connection to its end."""
        connection = Connection(self._config, self._client_id, mqtt5, self._presence, tls, self._limits, self._handlers)
        self._connection = connection
        try:
            if not self._stopping.is_set():  # asked once more: stop() may have looked before there was a connection
                connection.serve()
        finally:
            self._connection = None
        return connection

    def _connected(self, detail: str) -> None:
        self._tell(LinkState(connected=True, detail=detail))

    def _denied(self, detail: str) -> None:
        log.warning("%s", detail)

    def _too_large(self, topic: str, detail: str) -> None:
        """Logs it once for each topic."""
        if topic not in self._told_large:
            self._told_large.add(topic)
            log.warning("%s", detail)
        self._outcomes.too_large()

    def _tell(self, state: LinkState) -> None:
        """Logs a failure once, not at every attempt that ends the same way."""
        self._state = state
        if self._on_state is None:
            return
        if state.connected or self._stopping.is_set():
            log.info("%s", state.detail)
        elif state.detail != self._told:
            log.warning("%s", state.detail)
            self._told = state.detail
        self._on_state(state)

"""The event loop of one paho client: waits for the socket and for messages to write."""

from __future__ import annotations

import selectors
import socket
import threading
from contextlib import suppress

from paho.mqtt.client import Client
from paho.mqtt.enums import MQTTErrorCode

from daemon.mqtt.batch_writer import BatchWriter
from daemon.mqtt.sockets import Socket

_WAKE_BYTES = 64  # bytes read at once from the wake-up socket
_GOOD = MQTTErrorCode.MQTT_ERR_SUCCESS


class EventLoop:
    """Single-threaded, except for `wake`.

    paho's own loop is woken with a system call for each message, this one once for a batch. Each system call releases
    the GIL, and where cameras decode on every core it takes long to get it back.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._woken, self._waker = socket.socketpair()
        self._waker.setblocking(False)
        self._waking = threading.Lock()
        """held to write to the waker and to close it: once closed, its file descriptor may be reused"""
        self._selector = selectors.DefaultSelector()  # select.select fails for file descriptors above 1023
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._socket: Socket | None = None
        """the client's socket, once registered; a client has only one"""
        self._events = 0
        """events of the client's socket that the selector waits for"""

    def run_once(self, batch: BatchWriter, timeout: float) -> bool:
        """Reads and writes once, after waiting `timeout` seconds at most; False when the connection has ended."""
        client = self._client
        if (sock := client.socket()) is None:
            return False
        self._watch(sock, writing=batch.has_pending or client.want_write())
        pending = hasattr(sock, "pending") and sock.pending() > 0  # bytes that TLS has decrypted already
        found = {key.fileobj: events for key, events in self._selector.select(0 if pending else timeout)}
        if self._woken in found:
            self._woken.recv(_WAKE_BYTES)
        readable = pending or found.get(sock, 0) & selectors.EVENT_READ
        if readable and client.loop_read() != _GOOD:
            return False
        return self._write(batch) and client.loop_misc() == _GOOD

    def wake(self) -> None:
        """Ends the wait in `run_once`; from any thread."""
        with self._waking, suppress(OSError):  # full: it wakes anyway; closed: the loop has ended
            self._waker.send(b"\0")

    def close(self) -> None:
        """Closes the client's socket as well."""
        self._selector.close()
        if (sock := self._client.socket()) is not None:
            with suppress(OSError):  # such as the rest of a TLS or WebSocket farewell; the descriptor is free anyway
                sock.close()
        with self._waking:
            self._waker.close()
        self._woken.close()

    def _watch(self, sock: Socket, *, writing: bool) -> None:
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if writing else 0)
        if self._socket is None:
            self._selector.register(sock, events)
            self._socket = sock
        elif events != self._events:
            self._selector.modify(sock, events)
        self._events = events

    def _write(self, batch: BatchWriter) -> bool:
        """Writes paho's packets, then a batch; neither starts while the other is partly written."""
        client = self._client
        if client.want_write() and not batch.mid_write:
            if client.loop_write() != _GOOD:
                return False
            if client.want_write():
                return True
        if not batch.has_pending:
            return True
        return (sock := client.socket()) is not None and batch.write(sock)

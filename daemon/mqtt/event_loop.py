"""The loop around a paho client: waits for the socket, and for those who have something to write."""

from __future__ import annotations

import selectors
import socket
import threading
from contextlib import suppress

from paho.mqtt.client import Client
from paho.mqtt.enums import MQTTErrorCode

from daemon.mqtt.batch_writer import Bursts
from daemon.mqtt.sockets import Socket

_WAKES = 64  # bytes read at once of those that wake the loop
_GOOD = MQTTErrorCode.MQTT_ERR_SUCCESS


class Loop:
    """For one thread, but for `wake`.

    paho's own loop is woken, by a system call, for each message, and this one for a burst: each call gives the
    interpreter away, and where cameras decode on every core that is what limits the daemon.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._woken, self._waker = socket.socketpair()
        self._waker.setblocking(False)
        self._waking = threading.Lock()
        """so that nothing is sent to the waker while it is closed: its number may be another's by then"""
        self._selector = selectors.DefaultSelector()  # not select.select, which fails for a descriptor above 1023
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._socket: Socket | None = None
        """the client's, once it is registered; it has no other later"""
        self._watched = 0
        """the events of it that are waited for"""

    def turn(self, bursts: Bursts, timeout: float) -> bool:
        """Reads and writes once, waiting `timeout` seconds at most for either; whether the connection goes on."""
        client = self._client
        if (sock := client.socket()) is None:
            return False
        self._watch(sock, writing=bursts.wants or client.want_write())
        pending = hasattr(sock, "pending") and sock.pending() > 0  # as paho itself looks at it
        found = {key.fileobj: events for key, events in self._selector.select(0 if pending else timeout)}
        if self._woken in found:
            self._woken.recv(_WAKES)
        readable = pending or found.get(sock, 0) & selectors.EVENT_READ
        if readable and client.loop_read() != _GOOD:
            return False
        return self._write(bursts) and client.loop_misc() == _GOOD

    def _watch(self, sock: Socket, *, writing: bool) -> None:
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if writing else 0)
        if self._socket is None:
            self._selector.register(sock, wanted)
            self._socket = sock
        elif wanted != self._watched:
            self._selector.modify(sock, wanted)
        self._watched = wanted

    def _write(self, bursts: Bursts) -> bool:
        """paho's packets and then a burst; neither begins while a part of the other's is written."""
        client = self._client
        if client.want_write() and not bursts.begun:
            if client.loop_write() != _GOOD:
                return False
            if client.want_write():
                return True
        if not bursts.wants:
            return True
        return (sock := client.socket()) is not None and bursts.write(sock)

    def wake(self) -> None:
        """There is something to write; for any thread."""
        with self._waking, suppress(OSError):  # full: it will wake anyway; closed: it has ended
            self._waker.send(b"\0")

    def close(self) -> None:
        """Closes the client's socket too."""
        self._selector.close()
        if (sock := self._client.socket()) is not None:
            sock.close()
        with self._waking:
            self._waker.close()
        self._woken.close()

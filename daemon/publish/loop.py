"""The loop around a paho client: waits for the socket, and for those who have something to write."""

from __future__ import annotations

import select
import socket
import threading
from contextlib import suppress
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import MQTTErrorCode

from daemon.publish.bursts import Bursts

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

    def turn(self, bursts: Bursts, timeout: float) -> bool:
        """Reads and writes once, waiting `timeout` seconds at most for either; whether the connection goes on."""
        client = self._client
        if (sock := client.socket()) is None:
            return False
        reading: list[Any] = [sock, self._woken]
        writing = [sock] if bursts.wants or client.want_write() else []
        pending = hasattr(sock, "pending") and sock.pending() > 0  # as paho itself looks at it
        readable, _, _ = select.select(reading, writing, [], 0 if pending else timeout)
        if self._woken in readable:
            self._woken.recv(_WAKES)
        if (sock in readable or pending) and client.loop_read() != _GOOD:
            return False
        return self._write(bursts) and client.loop_misc() == _GOOD

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
        if (sock := self._client.socket()) is not None:
            sock.close()
        with self._waking:
            self._waker.close()
        self._woken.close()

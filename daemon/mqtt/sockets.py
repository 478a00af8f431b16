"""paho's sockets, and what is done to them before they are used."""

from __future__ import annotations

import os
import socket
from typing import Protocol


class Socket(Protocol):
    """One that does not block, or what paho puts around it."""

    def fileno(self) -> int: ...

    def send(self, data: bytes, /) -> int: ...


def send_at_once(sock: Socket) -> None:
    """Without it a message waits, up to 40 ms, until the broker has confirmed the TCP segment before."""
    with socket.socket(fileno=os.dup(sock.fileno())) as same:  # paho's own around TLS or WebSockets does not let us
        same.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def keep_parts(sock: Socket) -> None:
    """Of a WebSocket: what it has written in part is handed to it again.

    It says that nothing was written, which paho takes for an end: the packet is lost, and the next one misread.
    """
    send = sock.send

    def send_or_wait(data: bytes) -> int:
        if not (sent := send(data)):
            raise BlockingIOError
        return sent

    sock.send = send_or_wait  # type: ignore[method-assign]  # there is no other way in

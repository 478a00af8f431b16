"""Adjustments to the sockets that paho opens."""

from __future__ import annotations

import os
import socket
from typing import Protocol


class Socket(Protocol):
    """A non-blocking socket, or paho's wrapper around one."""

    def fileno(self) -> int: ...

    def send(self, data: bytes, /) -> int: ...


def disable_nagle(sock: Socket) -> None:
    """Sets TCP_NODELAY; otherwise a message waits up to 40 ms for the acknowledgement of the previous TCP segment."""
    with socket.socket(fileno=os.dup(sock.fileno())) as same:  # paho's TLS and WebSocket wrappers have no setsockopt
        same.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def resume_partial_writes(sock: Socket) -> None:
    """Makes a WebSocket raise BlockingIOError after a partial write, so that the caller sends the same data again.

    paho's wrapper returns 0 instead, which the loop takes for the end of the connection.
    """
    send = sock.send

    def send_or_wait(data: bytes) -> int:
        if not (sent := send(data)):
            raise BlockingIOError
        return sent

    sock.send = send_or_wait  # type: ignore[method-assign]  # paho has no option for it

"""The other end of the view's socket: lines of JSON and descriptors in, lines out; it never holds up the daemon."""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Iterator
from typing import Any

import orjson

_LONGEST_LINE = 4 << 20  # bytes; a configuration file of 1 MiB as JSON
_DESCRIPTORS = 16  # at once
_READ = 1 << 18  # bytes
_BEHIND = 1 << 20  # bytes that wait, beyond which what holds for the moment is left out
_TOO_FAR_BEHIND = 32 << 20  # bytes that wait, beyond which it is cut off


class PeerGoneError(Exception):
    """It has gone, or does what none of ours does; the message says what, and is empty where it has just gone."""


class Peer:
    """For one thread."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.connection = connection
        self._received = bytearray()
        self._descriptors: deque[int] = deque()
        self._unsent = bytearray()

    @property
    def wants_to_write(self) -> bool:
        """Whether something waits to be sent."""
        return bool(self._unsent)

    @property
    def is_behind(self) -> bool:
        """Whether so much waits to be sent that what holds for the moment is to be left out."""
        return len(self._unsent) > _BEHIND

    def receive(self) -> Iterator[dict[str, Any]]:
        """The messages that have come. Raises PeerGoneError."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self.connection, _READ, _DESCRIPTORS)
        except BlockingIOError:
            return
        except OSError as error:
            raise PeerGoneError from error
        self._descriptors.extend(descriptors)
        if not data:
            raise PeerGoneError
        self._received += data
        if len(self._descriptors) > _DESCRIPTORS or len(self._received) > _LONGEST_LINE:
            raise PeerGoneError("it sends more than is taken")
        while (end := self._received.find(b"\n")) >= 0:
            line = bytes(self._received[:end])
            del self._received[: end + 1]
            yield _message(line)

    def take_descriptor(self) -> int:
        """The oldest that came and was not taken yet. Raises PeerGoneError."""
        if not self._descriptors:
            raise PeerGoneError("it sends no memory for a picture")
        return self._descriptors.popleft()

    def send(self, line: bytes) -> None:
        """Sends a line, now or later. Raises PeerGoneError."""
        self._unsent += line
        self._unsent += b"\n"
        self.flush()

    def flush(self) -> None:
        """Sends what waits, as far as that is possible now. Raises PeerGoneError."""
        try:
            while self._unsent:
                sent = self.connection.send(self._unsent[:_READ])
                del self._unsent[:sent]
        except BlockingIOError:
            pass
        except OSError as error:
            raise PeerGoneError from error
        if len(self._unsent) > _TOO_FAR_BEHIND:
            raise PeerGoneError("it does not read what it is sent")

    def close(self) -> None:
        """Closes the connection and what came with it."""
        self.connection.close()
        while self._descriptors:
            os.close(self._descriptors.popleft())


def _message(line: bytes) -> dict[str, Any]:
    try:
        message = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise PeerGoneError("it sends what is not JSON") from None
    if not isinstance(message, dict):
        raise PeerGoneError("it sends what is no JSON object")
    return message

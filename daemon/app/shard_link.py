"""Messages between the daemon and the process of a shard: pickled, with their length before them, over a socket."""

from __future__ import annotations

import os
import pickle
import socket
import struct
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

_LENGTH = struct.Struct("<Q")
_PIECE = 1 << 18  # bytes that are read at once
_BUFFER = 4 << 20  # bytes that the kernel is asked to hold, a few hundred frames; it may give less


class LinkLostError(Exception):
    """The other process has closed its end, or ended."""


def link_pair() -> tuple[socket.socket, socket.socket]:
    """Two sockets that are connected to each other."""
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    for one in pair:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
    return pair


class Inbound:
    """Takes messages, and descriptors that come with them, from a socket. For one thread."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._data = bytearray()
        self.descriptors: deque[int] = deque()
        """that have come, in the order of their messages; whoever takes one closes it"""

    def first(self) -> Any:
        """The first message of all; waits for it. Raises LinkLostError."""
        while (end := self._end()) is None:
            self._read()
        return self._pop(end)

    def receive(self) -> Iterator[Any]:
        """The messages that one read completes, perhaps none; waits where the socket does. Raises LinkLostError."""
        if self._end() is None:
            self._read()
        while (end := self._end()) is not None:
            yield self._pop(end)

    def _read(self) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._connection, _PIECE, 16)
        except BlockingIOError:
            return
        except OSError as error:
            raise LinkLostError(error.strerror) from None
        self.descriptors.extend(descriptors)
        if not data:
            raise LinkLostError("it was closed")
        self._data += data

    def _pop(self, end: int) -> Any:
        message = pickle.loads(memoryview(self._data)[_LENGTH.size : end])  # noqa: S301  of our own process
        del self._data[:end]
        return message

    def _end(self) -> int | None:
        """Where the first message ends; None where it is not all there."""
        if len(self._data) < _LENGTH.size:
            return None
        end = _LENGTH.size + int(_LENGTH.unpack_from(self._data)[0])
        return end if end <= len(self._data) else None


class Outbound:
    """Writes messages to a socket that does not wait: what it does not take is kept. Thread-safe."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._waiting: deque[tuple[memoryview, Sequence[int]]] = deque()
        self._closed = False

    @property
    def is_waiting(self) -> bool:
        """Whether something is to be written when the socket takes more."""
        return bool(self._waiting)

    def put(self, message: object, descriptors: Sequence[int] = ()) -> None:
        """Writes a message after those that wait; returns at once. Descriptors are its own from now on."""
        with self._lock:
            if self._closed:
                close_all(descriptors)
                return
            self._waiting.append((memoryview(packed(message)), descriptors))
        self.flush()

    def flush(self) -> None:
        """Writes what the socket takes; an end that is gone is left to the reader to find."""
        with self._lock, suppress(OSError):
            while self._waiting:
                data, descriptors = self._waiting[0]
                if descriptors:
                    sent = socket.send_fds(self._connection, [data], list(descriptors))
                    close_all(descriptors)
                else:
                    sent = self._connection.send(data)
                if sent == len(data):
                    self._waiting.popleft()
                else:
                    self._waiting[0] = data[sent:], ()

    def close(self) -> None:
        """Drops what waits, and takes nothing more."""
        with self._lock:
            self._closed = True
            for _, descriptors in self._waiting:
                close_all(descriptors)
            self._waiting.clear()


def packed(message: object) -> bytes:
    """A message as it is written."""
    data = pickle.dumps(message, protocol=5)
    return _LENGTH.pack(len(data)) + data


def close_all(descriptors: Sequence[int]) -> None:
    """Closes descriptors that were not sent, or were."""
    for one in descriptors:
        os.close(one)

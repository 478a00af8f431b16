"""The server of a network source: its URL taken apart, and a connection to it within a time limit."""

from __future__ import annotations

import io
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias
from urllib.parse import unquote, urljoin, urlsplit

from daemon.capture.sources.base import SourceError
from daemon.config.credentials import place_of
from daemon.config.urls import NO_HOST
from daemon.records import Reason
from daemon.system.descriptors import is_want_of_descriptors, sentence
from daemon.system.threads import start_thread

_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}

_Address: TypeAlias = tuple[socket.AddressFamily, Any]
"""address family and socket address"""


class _DnsSilentError(OSError):
    """No DNS server answers."""


class _InvalidNameError(OSError):
    """The DNS cannot be asked for such a name."""


@dataclass(frozen=True, slots=True)
class Server:
    """The parts of a URL."""

    scheme: str
    host: str
    port: int
    target: str
    """path and query; may hold secrets like the next two, so never part of a message"""
    user: str | None
    password: str
    certain: bool
    """False: what is taken for the host may be a part of the password"""

    def __str__(self) -> str:
        """For messages."""
        return self.place if self.certain else "the host in the URL"

    @property
    def place(self) -> str:
        """Host and port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def base(self) -> str:
        """The URL without path, user and password."""
        return f"{self.scheme}://{self.place}"

    def redirected(self, location: str) -> Server:
        """Where it redirects to. User and password go along to the same host only. Raises ValueError."""
        to = server_of(urljoin(self.base + self.target, location.strip()))
        if to.scheme[:4] != self.scheme[:4]:
            raise ValueError("another protocol")
        same = to.host == self.host and (to.scheme.endswith("s") or not self.scheme.endswith("s"))
        return replace(to, user=self.user, password=self.password) if same and to.user is None else to


def server_of(url: str) -> Server:
    """Raises ValueError where the URL has no valid host and port, or another scheme."""
    parts = urlsplit(url)
    if not parts.hostname or parts.scheme not in _PORTS:
        raise ValueError("no host, or another scheme")
    return Server(
        scheme=parts.scheme,
        host=parts.hostname,
        port=parts.port or _PORTS[parts.scheme],
        target=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
        user=None if parts.username is None else unquote(parts.username),
        password=unquote(parts.password or ""),
        certain=place_of(url) is not None,
    )


def no_answer(server: Server, error: OSError) -> SourceError:
    """What it means that connecting, or waiting for an answer, failed."""
    if is_want_of_descriptors(error):
        return SourceError(Reason.NO_RESOURCES, sentence())
    plain = server.scheme.removesuffix("s")
    rule = "each part between its dots must have 1 to 63 characters; correct the source"
    unreachable: dict[type[OSError], str] = {
        socket.gaierror: f"the name {server.host} cannot be resolved; check it and the DNS",
        _DnsSilentError: f"the DNS does not answer when asked for {server.host}; check the DNS",
        _InvalidNameError: f"{server.host} is not a valid host name: {rule}",
    }
    for kind, detail in unreachable.items():
        if isinstance(error, kind):
            return SourceError(Reason.UNREACHABLE, detail if server.certain else NO_HOST)
    if isinstance(error, ssl.SSLError):
        return SourceError(Reason.NO_VIDEO, f"{server} does not encrypt as {server.scheme}:// needs it; try {plain}://")
    if isinstance(error, ConnectionRefusedError):
        return SourceError(Reason.REFUSED, f"{server} refuses connections; check the port and the camera's settings")
    if isinstance(error, TimeoutError):
        return SourceError(Reason.TIMEOUT, f"{server} does not answer")
    return SourceError(Reason.UNREACHABLE, f"{server} cannot be reached: {error.strerror or type(error).__name__}")


def first_server(url: str) -> Server:
    """Of a camera's URL. Raises SourceError where it has no valid host and port."""
    try:
        return server_of(url)
    except ValueError:
        raise SourceError(Reason.UNREACHABLE, NO_HOST) from None


class Connection(io.RawIOBase):
    """A connection whose every wait ends at its `deadline`, by time.monotonic(), with TimeoutError."""

    def __init__(self, server: Server, deadline: float) -> None:
        """Connects, encrypted if the scheme says so. Raises OSError."""
        self.deadline = deadline
        self._socket = _connect_to_first(_look_up(server, deadline), deadline)
        if server.scheme.endswith("s"):
            context = ssl.create_default_context()
            context.check_hostname = False  # as FFmpeg does: cameras have self-signed certificates
            context.verify_mode = ssl.CERT_NONE
            try:
                self._socket = context.wrap_socket(self._socket, server_hostname=server.host)
            except BaseException:
                self._socket.close()
                raise

    def send(self, lines: Sequence[str]) -> None:
        """Sends the head of a request. Raises OSError."""
        self._socket.settimeout(_left(self.deadline))
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode())

    def makefile(self, mode: str = "rb") -> io.BufferedReader:
        """To read from, as http.client does."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """What has come, at least one byte; 0 at the end. Raises OSError."""
        self._socket.settimeout(_left(self.deadline))
        return self._socket.recv_into(buffer)

    def close(self) -> None:
        """Closes it."""
        self._socket.close()
        super().close()


def _left(deadline: float) -> float:
    """Seconds until `deadline`. Raises TimeoutError when it has passed."""
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds


def _look_up(server: Server, deadline: float) -> list[_Address]:
    """The addresses of the server. Raises gaierror, _InvalidNameError, _DnsSilentError or
    TooFewThreadsError.

    getaddrinfo has no time-out, so it runs in a thread, which is abandoned if there is no answer in time. It ends by
    itself; OpenCV's own attempt at the same name takes as long, so these threads do not pile up.
    """
    answer: SimpleQueue[list[_Address] | OSError] = SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
            answer.put([(family, address) for family, _, _, _, address in found])
        except OSError as error:
            answer.put(error)
        except UnicodeError:
            answer.put(_InvalidNameError())

    start_thread(threading.Thread(target=ask, name="lookup", daemon=True))
    try:
        found = answer.get(timeout=_left(deadline))
    except Empty:
        raise _DnsSilentError from None
    if isinstance(found, OSError):
        raise found
    return found


def _connect_to_first(addresses: list[_Address], deadline: float) -> socket.socket:
    """Connects to the first address that accepts. Raises the OSError of the last one."""
    refusal: OSError | None = None
    for family, address in addresses:
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.settimeout(_left(deadline))
            connection.connect(address)
        except OSError as error:
            connection.close()
            refusal = error
        else:
            return connection
    raise refusal or OSError("the name has no address")

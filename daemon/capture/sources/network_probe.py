"""Finds out why a network camera gives no video by asking its server; OpenCV does not tell."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias
from urllib.parse import unquote, urlsplit

from daemon.capture.sources.base import SourceError
from daemon.config.credentials import place_of
from daemon.records import Reason

_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
_MAX_HEAD = 65536  # bytes; no camera's response is longer
_UNCERTAIN = (
    "the URL has no valid host and port; write special characters of its user and password as %XX: "
    "%40 for @, %2F for /, %3F for ?, %23 for #"
)


_Address: TypeAlias = tuple[socket.AddressFamily, Any]
"""address family and socket address"""


class _DnsSilentError(OSError):
    """No DNS server answers."""


class _InvalidNameError(OSError):
    """The DNS cannot be asked for such a name."""


@dataclass(frozen=True, slots=True)
class _Server:
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
    def rtsp(self) -> bool:
        return self.scheme.startswith("rtsp")


@dataclass(frozen=True, slots=True)
class _Answer:
    """The head of a response, as far as it matters here."""

    status: int | None
    """None: not a response of the requested protocol"""
    challenges: tuple[str, ...]
    """values of WWW-Authenticate"""


def probe(url: str, timeout: float) -> SourceError | None:
    """What the server of `url` answers to a request for the stream; None if it sees nothing wrong.

    Takes at most `timeout` seconds.
    """
    try:
        server = _parse(url)
    except ValueError:
        return SourceError(Reason.UNREACHABLE, _UNCERTAIN)
    try:
        answer = _ask_for_stream(server, time.monotonic() + timeout)
    except OSError as error:
        return _no_answer(server, error)
    return _meaning(server, answer)


def _no_address(server: _Server, error: OSError) -> SourceError | None:
    """What is wrong with the host's name; None if nothing is."""
    if not isinstance(error, (socket.gaierror, _DnsSilentError, _InvalidNameError)):
        return None
    rule = "each part between its dots must have 1 to 63 characters; correct the source"
    detail = f"{server.host} is not a valid host name: {rule}"
    if not server.certain:
        detail = _UNCERTAIN
    elif isinstance(error, socket.gaierror):
        detail = f"the name {server.host} cannot be resolved; check it and the DNS"
    elif isinstance(error, _DnsSilentError):
        detail = f"the DNS does not answer when asked for {server.host}; check the DNS"
    return SourceError(Reason.UNREACHABLE, detail)


def _no_answer(server: _Server, error: OSError) -> SourceError:
    if (unnamed := _no_address(server, error)) is not None:
        return unnamed
    if isinstance(error, ConnectionRefusedError):
        return SourceError(Reason.REFUSED, f"{server} refuses connections; check the port and the camera's settings")
    if isinstance(error, TimeoutError):
        return SourceError(Reason.TIMEOUT, f"{server} does not answer")
    return SourceError(Reason.UNREACHABLE, f"{server} cannot be reached: {error.strerror or type(error).__name__}")


def _parse(url: str) -> _Server:
    parts = urlsplit(url)
    if not parts.hostname:
        raise ValueError("no host")
    return _Server(
        scheme=parts.scheme,
        host=parts.hostname,
        port=parts.port or _PORTS[parts.scheme],
        target=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
        user=None if parts.username is None else unquote(parts.username),
        password=unquote(parts.password or ""),
        certain=place_of(url) is not None,
    )


def _meaning(server: _Server, answer: _Answer) -> SourceError | None:
    status = answer.status
    if status is None:
        protocol = "RTSP" if server.rtsp else "HTTP"
        return SourceError(Reason.NO_VIDEO, f"{server} does not speak {protocol}; check the port")
    if status < 400:
        return None
    reason, detail = {
        401: (Reason.UNAUTHORIZED, "does not accept the user and password of the source"),
        403: (Reason.UNAUTHORIZED, "forbids this stream; check what the user of the source may see"),
        404: (Reason.NOT_FOUND, "has no such stream; check the path of the source"),
    }.get(status, (Reason.NO_VIDEO, f"answers with status {status} and no video"))
    if status == 401 and server.user is None:
        detail = f"asks for a user and password; give them as {server.scheme}://user:password@…"
    return SourceError(reason, f"{server} {detail}")


def _ask_for_stream(server: _Server, deadline: float) -> _Answer:
    """Requests the stream, and again with credentials if challenged. Raises OSError."""
    with _connect(server, deadline) as connection:
        answer = _exchange(connection, server, None, deadline)
        if answer.status != 401 or server.user is None:
            return answer
        authorization = _authorization(server, answer.challenges)
        if authorization is None:
            return answer
        if server.rtsp:  # the challenge may be valid for this connection only
            return _exchange(connection, server, authorization, deadline)
    with _connect(server, deadline) as connection:  # the first one may still carry the page
        return _exchange(connection, server, authorization, deadline)


def _connect(server: _Server, deadline: float) -> socket.socket:
    connection = _connect_to_first(_look_up(server, deadline), deadline)
    if not server.scheme.endswith("s"):
        return connection
    context = ssl.create_default_context()
    context.check_hostname = False  # as FFmpeg does: cameras have self-signed certificates
    context.verify_mode = ssl.CERT_NONE
    try:
        return context.wrap_socket(connection, server_hostname=server.host)
    except OSError:
        connection.close()
        raise


def _look_up(server: _Server, deadline: float) -> list[_Address]:
    """The addresses of the server. Raises gaierror, _InvalidNameError or _DnsSilentError.

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

    threading.Thread(target=ask, name="lookup", daemon=True).start()
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


def _exchange(connection: socket.socket, server: _Server, authorization: str | None, deadline: float) -> _Answer:
    lines = [f"{_method(server)} {_uri(server)} {'RTSP/1.0' if server.rtsp else 'HTTP/1.1'}"]
    lines += (
        [f"CSeq: {2 if authorization else 1}", "Accept: application/sdp"] if server.rtsp else [f"Host: {server.place}"]
    )
    lines += ["User-Agent: ospreyd"]
    lines += [f"Authorization: {authorization}"] if authorization else []
    connection.settimeout(_left(deadline))
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    head = b""
    while b"\r\n\r\n" not in head and len(head) < _MAX_HEAD:
        connection.settimeout(_left(deadline))
        received = connection.recv(4096)
        if not received:
            break
        head += received
    text = head.split(b"\r\n\r\n")[0].decode("latin-1")
    status = re.match(rf"{'RTSP' if server.rtsp else 'HTTP'}/\d\.\d (\d{{3}})", text)
    return _Answer(
        int(status[1]) if status else None, tuple(re.findall(r"(?im)^WWW-Authenticate:[ \t]*(.+?)\r?$", text))
    )


def _method(server: _Server) -> str:
    return "DESCRIBE" if server.rtsp else "GET"


def _uri(server: _Server) -> str:
    return f"{server.scheme}://{server.place}{server.target}" if server.rtsp else server.target


def _authorization(server: _Server, challenges: tuple[str, ...]) -> str | None:
    """The response to the first Digest challenge with MD5, else to a Basic one; None if there is neither."""
    for challenge in challenges:
        found = re.findall(r'(\w+)=(?:"([^"]*)"|([^\s,]*))', challenge)
        parameters = {name: quoted or plain for name, quoted, plain in found}
        if challenge.lower().startswith("digest") and parameters.get("algorithm", "MD5").upper() == "MD5":
            return _digest(server, parameters)
    if any(challenge.lower().startswith("basic") for challenge in challenges):
        return "Basic " + base64.b64encode(f"{server.user}:{server.password}".encode()).decode()
    return None


def _digest(server: _Server, challenge: Mapping[str, str]) -> str:
    realm, nonce, uri = challenge.get("realm", ""), challenge.get("nonce", ""), _uri(server)
    who, what = _md5(f"{server.user}:{realm}:{server.password}"), _md5(f"{_method(server)}:{uri}")
    fields = f'username="{server.user}", realm="{realm}", nonce="{nonce}", uri="{uri}"'
    if opaque := challenge.get("opaque"):
        fields += f', opaque="{opaque}"'
    if "qop" not in challenge:
        return f'Digest {fields}, response="{_md5(f"{who}:{nonce}:{what}")}"'
    own = secrets.token_hex(8)
    response = _md5(f"{who}:{nonce}:00000001:{own}:auth:{what}")
    return f'Digest {fields}, qop=auth, nc=00000001, cnonce="{own}", response="{response}"'


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _left(deadline: float) -> float:
    """Seconds until `deadline`. Raises TimeoutError when it has passed."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left

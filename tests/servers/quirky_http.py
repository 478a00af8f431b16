"""An HTTP server like odd cameras: pictures in any framing, still pictures, logins and redirects, raw on a socket."""

from __future__ import annotations

import itertools
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import md5, sha256

import cv2

from tests.daemon.capturing import pictures

Answer = Callable[[int], Iterator[bytes]]
"""what one request is answered with, piece by piece, at the server's rate; from the number of the request, from 0"""

JPEGS = [cv2.imencode(".jpg", image)[1].tobytes() for image in pictures(10, 160, 120)]
NONCE = "f00d"


def head(
    content_type: str = "multipart/x-mixed-replace; boundary=frame", *fields: str, status: str = "200 OK"
) -> bytes:
    """Of a response; an empty content type is left out."""
    lines = [f"HTTP/1.1 {status}", *fields, *([f"Content-Type: {content_type}"] if content_type else [])]
    return "\r\n".join([*lines, "", ""]).encode()


def part(content: bytes, boundary: str = "--frame", *, length: int | None = None, line: str = "\r\n") -> bytes:
    """Of a multipart stream; `length` is what its head says, -1 for nothing."""
    said = len(content) if length is None else length
    fields = ["Content-Type: image/jpeg", *([f"Content-Length: {said}"] if said >= 0 else [])]
    return line.join([boundary, *fields, "", ""]).encode() + content + line.encode()


def stream(each: Callable[[int, bytes], bytes], first: bytes | None = None) -> Answer:
    """Endless: `each` makes a piece of a picture and its number; `first` is the head of the response."""

    def answer(_: int) -> Iterator[bytes]:
        yield head() if first is None else first
        yield from (each(number, JPEGS[number % len(JPEGS)]) for number in itertools.count())

    return answer


def still(content: Callable[[int], bytes], content_type: str = "image/jpeg", *, length: bool = True) -> Answer:
    """One picture a request."""

    def answer(number: int) -> Iterator[bytes]:
        body = content(number)
        yield head(content_type, *([f"Content-Length: {len(body)}"] if length else [])) + body

    return answer


class QuirkyHttp:
    """Serves one answer at every path, on a free port of 127.0.0.1 as soon as it is made."""

    def __init__(
        self, answer: Answer, *, fps: float = 20.0, digest: str | None = None, login: str = "gate:s3cret"
    ) -> None:
        """`digest` is the algorithm of the login that is asked for; None: none is."""
        self.requests: list[str] = []
        """the heads of all"""
        self._answer = answer
        self._period = 1 / fps
        self._digest = digest
        self._login = login
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name="http server", daemon=True).start()

    def url(self, path: str = "picture") -> str:
        """Of any path."""
        return f"http://127.0.0.1:{self.port}/{path}"

    def __enter__(self) -> QuirkyHttp:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._listener.close()

    def _accept(self) -> None:
        served = itertools.count()
        while not self._closing.is_set():
            try:
                connection = self._listener.accept()[0]
            except OSError:  # closed
                return
            threading.Thread(target=self._serve, args=(connection, served), daemon=True).start()

    def _serve(self, connection: socket.socket, served: Iterator[int]) -> None:
        with suppress(OSError), connection, connection.makefile("rb") as reader:
            lines = list(iter(reader.readline, b"\r\n"))
            request = b"".join(lines).decode()
            self.requests.append(request)
            if self._digest and not self._is_right(request):
                challenge = f'Digest realm="camera", nonce="{NONCE}", qop="auth", algorithm={self._digest}'
                connection.sendall(head("", f"WWW-Authenticate: {challenge}", "Content-Length: 0", status="401 No"))
                return
            for piece in self._answer(next(served)):
                connection.sendall(piece)
                if self._closing.wait(self._period):
                    return

    def _is_right(self, request: str) -> bool:
        """Whether the request carries the login, RFC 7616."""
        line = next((line for line in request.splitlines() if line.lower().startswith("authorization: digest")), "")
        given = {name: quoted or plain for name, quoted, plain in re.findall(r'(\w+)=(?:"([^"]*)"|([^\s,]*))', line)}
        hashed = sha256 if str(self._digest).startswith("SHA-256") else md5
        user, _, password = self._login.partition(":")
        who = hashed(f"{user}:camera:{password}".encode()).hexdigest()
        what = hashed(f"GET:{given.get('uri')}".encode()).hexdigest()
        if str(self._digest).endswith("-sess"):
            who = hashed(f"{who}:{NONCE}:{given.get('cnonce')}".encode()).hexdigest()
        text = ":".join([who, NONCE, given.get("nc", ""), given.get("cnonce", ""), "auth", what])
        return given.get("response") == hashed(text.encode()).hexdigest()

"""A web server on 127.0.0.1 that has one file and answers as it is told: well, badly, or with another."""

from __future__ import annotations

import contextlib
import hashlib
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

_OPEN = 90.0  # seconds that a stalled connection stays open at most


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        owner = self.server.owner
        owner.requests.append((self.path, self.headers.get("Range")))
        answer = owner.answers.pop(0) if owner.answers else owner.otherwise
        self.close_connection = True
        with contextlib.suppress(OSError):
            answer(self, owner.data)

    def do_CONNECT(self) -> None:
        """As a proxy does."""
        self.server.owner.requests.append((self.path, None))
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port))) as target:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=_pump, args=(target, self.connection), daemon=True)
            back.start()
            _pump(self.connection, target)
            back.join()
        self.close_connection = True

    def begin(self, status: int, **headers: str | int) -> None:
        self.send_response(status)
        for name, value in {"Connection": "close", **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def offset(self) -> int:
        """Of the first byte that was asked for."""
        said = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        return int(said[1]) if said else 0

    def begin_file(self, data: bytes) -> bytes:
        """The beginning of a right answer; what has to follow."""
        start = self.offset()
        if start >= len(data):
            self.begin(416, Content_Range=f"bytes */{len(data)}")
            return b""
        if "Range" in self.headers:
            span = f"bytes {start}-{len(data) - 1}/{len(data)}"
            self.begin(206, Content_Length=len(data) - start, Content_Range=span)
        else:
            self.begin(200, Content_Length=len(data))
        return data[start:]

    def log_message(self, *_arguments: object) -> None:
        pass


Answer = Callable[[Handler, bytes], None]


def plain(handler: Handler, data: bytes) -> None:
    handler.wfile.write(handler.begin_file(data))


def cut(after: int) -> Answer:
    """Ends the connection after so many bytes."""
    return lambda handler, data: _write(handler, handler.begin_file(data)[:after])


def stall(after: int) -> Answer:
    """Sends no more after so many bytes."""

    def answer(handler: Handler, data: bytes) -> None:
        _write(handler, handler.begin_file(data)[:after])
        handler.server.owner.closing.wait(_OPEN)

    return answer


def drip(handler: Handler, data: bytes) -> None:
    """In twelve pieces, one each 0.2 s."""
    rest = handler.begin_file(data)
    step = len(rest) // 12 + 1
    for start in range(0, len(rest), step):
        _write(handler, rest[start : start + step])
        time.sleep(0.2)


def status(code: int, **headers: str | int) -> Answer:
    return lambda handler, _data: handler.begin(code, Content_Length=0, **headers)


def redirect(location: str) -> Answer:
    return status(302, Location=location)


def whole(handler: Handler, data: bytes) -> None:
    """Takes no notice of the range."""
    handler.begin(200, Content_Length=len(data))
    handler.wfile.write(data)


def wrong_range(handler: Handler, data: bytes) -> None:
    handler.begin(206, Content_Length=len(data) - 1, Content_Range=f"bytes 1-{len(data) - 1}/{len(data)}")
    handler.wfile.write(data[1:])


def other(content: bytes, **headers: str) -> Answer:
    """Another file, with its length."""

    def answer(handler: Handler, _data: bytes) -> None:
        handler.begin(200, Content_Length=len(content), **headers)
        handler.wfile.write(content)

    return answer


def endless(content: bytes) -> Answer:
    """Another file, without its length."""

    def answer(handler: Handler, _data: bytes) -> None:
        handler.begin(200)
        handler.wfile.write(content)

    return answer


def nothing(handler: Handler, _data: bytes) -> None:
    """Ends the connection without an answer."""


def garbage(handler: Handler, _data: bytes) -> None:
    handler.wfile.write(b"SSH-2.0-OpenSSH\r\n\r\n")


def _write(handler: Handler, data: bytes) -> None:
    handler.wfile.write(data)
    handler.wfile.flush()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    owner: ModelServer

    def handle_error(self, *_arguments: object) -> None:
        pass  # a client that hangs up


@dataclass
class ModelServer:
    """Serves one file under any path, encrypted where there are certificates. A context manager."""

    data: bytes
    certificates: Path | None = None
    otherwise: Answer = plain
    """answer when `answers` are used up"""
    answers: list[Answer] = field(default_factory=list)
    """one for each request to come"""
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    """path and Range of each"""
    closing: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> ModelServer:
        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.owner = self
        if self.certificates is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificates / "server.crt", self.certificates / "server.key")
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        threading.Thread(target=self._server.serve_forever, args=(0.02,), name="model server", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        scheme = "http" if self.certificates is None else "https"
        return f"{scheme}://localhost:{self._server.server_address[1]}"


def entry(server: ModelServer, data: bytes, **more: object) -> dict[str, object]:
    """Of a catalogue: a copy of the drawn street's detector that the server has."""
    return {
        "file": "street_a.onnx", "url": f"{server.url}/street_a.onnx", "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(), "family": "yolox", "imgsz": [256, 416], "confidence": 0.7,
        "licence": "Apache-2.0", "author": "us", "trained_on": "drawn streets", **more,
    }  # fmt: skip


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)

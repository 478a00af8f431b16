"""A real HTTP server of MJPEG, as cheap cameras have one."""

from __future__ import annotations

import base64
import itertools
import math
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class MjpegServer:
    """Serves on 127.0.0.1 from a thread of its own while it is entered, on a free port unless one is given.

    /stream is the pictures again and again, /page a page of text; everything else is not found.
    """

    def __init__(
        self,
        pictures: Sequence[bytes],
        fps: float,
        credentials: str | None = None,
        ends_after: float = math.inf,
        port: int = 0,
    ) -> None:
        """`pictures` are JPEG files, which may be exchanged at any time.

        `credentials` is the user:password that is asked for (basic). A stream ends after `ends_after` pictures.
        """
        self._closing = threading.Event()
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.pictures = pictures
        self._server.period = 1 / fps
        self._server.ends_after = ends_after
        self._server.closing = self._closing
        self._server.authorization = credentials and "Basic " + base64.b64encode(credentials.encode()).decode()
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="mjpeg server")

    def url(self, credentials: str = "", path: str = "stream") -> str:
        """Of the stream; `credentials` as user:password."""
        return f"http://{credentials and credentials + '@'}127.0.0.1:{self._server.server_port}/{path}"

    @property
    def port(self) -> int:
        """It listens there."""
        return int(self._server.server_port)

    @property
    def served(self) -> int:
        """How often the stream was asked for."""
        return self._server.served

    def __enter__(self) -> MjpegServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    pictures: Sequence[bytes]
    period: float
    closing: threading.Event
    ends_after: float
    served = 0
    authorization: str | None


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        if self.server.authorization not in (None, self.headers["Authorization"]):
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif self.path == "/stream":
            self._stream()
        elif self.path == "/page":
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<html>Welcome to your camera</html>")
        else:
            self.send_error(404)

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        self.server.served += 1
        for number in itertools.count():
            picture = self.server.pictures[number % len(self.server.pictures)]
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
            try:
                self.wfile.write(head.encode() + picture + b"\r\n")
            except OSError:
                return  # the camera's client has gone
            if number + 1 >= self.server.ends_after or self.server.closing.wait(self.server.period):
                return

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the name of the overridden method's)
        """Says nothing: a test's output is its own."""

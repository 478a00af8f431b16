"""The HTTP server for metrics and health checks, with bounded concurrency and timeouts."""

from __future__ import annotations

import json
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from daemon.config.service import Metrics
from daemon.service.watchdog import Watchdog
from daemon.system.threads import TooFewThreadsError, start_thread
from daemon.system.worker_thread import WorkerThread

_log = logging.getLogger("ospreyd")
_CLIENTS = 4  # at once; further connections are closed
_WITHIN = 5.0  # seconds per client, from accepting its connection to closing it
_POLL = 0.5  # seconds between two checks for the end and for late clients


class HttpServer:
    """Serves /metrics, /healthz and /readyz in its own threads."""

    def __init__(
        self,
        config: Metrics | None,
        service: Watchdog,
        registry: CollectorRegistry,
        on_fatal: Callable[[BaseException], None],
    ) -> None:
        """Opens the port. If that fails, logs one warning and serves nothing, as without `config`.

        `on_fatal` is called with the exception that ended the thread.
        """
        device = service.device
        pages: dict[str, Callable[[], _Page]] = {
            "/metrics": lambda: (200, CONTENT_TYPE_LATEST, generate_latest(registry)),
            "/healthz": lambda: _answer(device, service.verdict.healthy, service.verdict.reason),
            "/readyz": lambda: _answer(
                device, service.ready, "started" if service.ready else "no camera is known to work yet"
            ),
        }
        self._stopping = threading.Event()
        self._thread = WorkerThread("metrics", self._run, on_fatal)
        self._server: _Server | None = None
        if config is None:
            return
        try:
            self._server = _Server(config, pages)
        except OSError as error:
            why = error.strerror or error
            _log.warning(
                "no metrics: %s port %d cannot be listened on (%s); "
                "set another service.metrics.port, or service.metrics: null",
                *(config.host, config.port, why),
            )

    @property
    def port(self) -> int | None:
        """The port in use; None where nothing is served."""
        return None if self._server is None else int(self._server.server_address[1])

    def start(self) -> None:
        """Starts serving."""
        if self._server is not None:
            self._thread.start()

    def stop(self) -> None:
        """Asks the thread to end and returns. Clients in progress are not waited for."""
        self._stopping.set()
        if self._server is not None and not self._thread.started:  # another part failed to start
            self._server.server_close()

    def join(self, timeout: float) -> bool:
        """Whether the thread has ended within `timeout` seconds; the port is free then."""
        return self._thread.join(timeout)

    def _run(self) -> None:
        if self._server is not None:
            with self._server as server:
                # not serve_forever: its shutdown() blocks until the loop has ended
                while not self._stopping.is_set():
                    server.handle_request()
                    server.cut_off_late()


_Page = tuple[int, str, bytes]
"""status, content type, content"""


def _answer(device: str, well: bool, reason: str) -> _Page:
    content = json.dumps({"ok": well, "reason": reason, "device": device}).encode()
    return 200 if well else 503, "application/json", content + b"\n"


class _Handler(BaseHTTPRequestHandler):
    """One request per connection (HTTP/1.0)."""

    server: _Server
    server_version = "ospreyd"
    sys_version = ""

    def do_GET(self) -> None:
        page = self.server.pages.get(self.path.partition("?")[0])
        status, kind, content = page() if page else (404, "text/plain", b"/metrics, /healthz or /readyz\n")
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Requests are not logged."""


class _Server(ThreadingHTTPServer):
    """Limits the number of clients and the time of each."""

    timeout = _POLL
    block_on_close = False

    def __init__(self, config: Metrics, pages: dict[str, Callable[[], _Page]]) -> None:
        """Raises OSError if it cannot listen on the address."""
        self.pages = pages
        self._clients: dict[socket.socket, float] = {}
        """time.monotonic() of each connection"""
        self._lock = threading.Lock()
        found = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family = found[0][0]
        super().__init__((config.host, config.port), _Handler)

    def server_bind(self) -> None:
        """As the parent, but without its reverse DNS lookup, which may block."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "ospreyd", int(self.server_address[1])

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002  the parent's signature
        """Whether another client may connect."""
        with self._lock:
            if len(self._clients) >= _CLIENTS:
                return False
            self._clients[request] = time.monotonic()
            return True

    def cut_off_late(self) -> None:
        """Closes connections that exceed their time; call it several times a second."""
        now = time.monotonic()
        with self._lock:
            late = [client for client, came in self._clients.items() if now - came > _WITHIN]
        for client in late:
            self._forget(client)
            _cut(client)

    def process_request(self, request: Any, client_address: Any) -> None:
        """As the parent, but without a thread it raises what `handle_error` knows."""
        target, arguments = self.process_request_thread, (request, client_address)
        start_thread(threading.Thread(target=target, args=arguments, name="metrics-client", daemon=True))

    def shutdown_request(self, request: Any) -> None:
        """Called after each client."""
        self._forget(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002  the parent's signature
        """Ignores client disconnects, and that there is no thread for a client; logs everything else."""
        error = sys.exc_info()[1]
        if not isinstance(error, (OSError, TooFewThreadsError)):
            _log.error("a request for metrics failed", exc_info=error)

    def _forget(self, client: socket.socket) -> None:
        with self._lock:
            self._clients.pop(client, None)


def _cut(client: socket.socket) -> None:
    try:
        client.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # already closed

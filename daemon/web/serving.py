"""The page's process: its socket, systemd's or its own, and its end when nobody has called for long."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import cv2
import uvicorn

from daemon.config.page import PageConfig
from daemon.errors import EXIT_OK, UsageError
from daemon.web.application import Page
from engines.folders import runtime_folder, state_folder

_log = logging.getLogger("ospreyd.web")
_FIRST = 3  # number of the descriptor that systemd gives
_LARGEST_MESSAGE = 4096  # bytes, of a page over its WebSocket
_PING = 20.0  # seconds
_CLIENTS = 128  # connections at once
_NICE = 10
_LOOK = 0.5  # seconds between two looks whether it is idle


def serve(config: PageConfig) -> int:
    """Serves the page until SIGTERM or SIGINT, or until it has been idle; the exit code. Raises UsageError."""
    cv2.setNumThreads(1)
    web = config.web
    given = _from_systemd()
    listening = given or _listening(web.host, web.port)
    where = _shown(listening)
    if given and where[1] != web.port:
        _log.warning(
            "systemd listens on port %d, service.web.port says %d; ospreyd-web.socket holds", where[1], web.port
        )
    if web.tls is None and not where[0].startswith("127.") and where[0] != "::1":
        _log.warning("the page is not encrypted: passwords and pictures can be read on the way; set service.web.tls")
    page = Page(config, runtime_folder(), state_folder())
    server = _Server(_settings(config, page))
    scheme = "http" if web.tls is None else "https"
    _log.info("page on %s://%s:%d; `ospreyd web --link %s` gives a link to log in", scheme, *where, config.file)
    asyncio.run(_run(server, listening, page, web.idle_exit if given else 0))
    return EXIT_OK


class _Server(uvicorn.Server):
    """Ends with 0 when asked to stop; uvicorn's own raises the signal once more afterwards."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """While it serves."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._end)
        yield

    def _end(self) -> None:
        self.should_exit = True


def _settings(config: PageConfig, page: Page) -> uvicorn.Config:
    tls = config.web.tls
    encrypted: dict[str, Any] = {} if tls is None else {"ssl_certfile": tls.certificate, "ssl_keyfile": tls.key}
    return uvicorn.Config(
        page.app,
        http="h11",
        ws="wsproto",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        ws_max_size=_LARGEST_MESSAGE,
        ws_ping_interval=_PING,
        ws_ping_timeout=_PING,
        ws_per_message_deflate=False,
        limit_concurrency=_CLIENTS,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=2,
        **encrypted,
    )


async def _run(server: uvicorn.Server, listening: socket.socket, page: Page, idle_exit: float) -> None:
    """`idle_exit`: seconds without a connection after which it ends; 0: never."""
    tasks = [asyncio.create_task(_step_back(server))]
    if idle_exit:
        tasks.append(asyncio.create_task(_end_when_idle(server, page, idle_exit)))
    try:
        await server.serve(sockets=[listening])
    finally:
        for task in tasks:
            task.cancel()


async def _step_back(server: uvicorn.Server) -> None:
    """Once it answers, the daemon goes first: whoever starts it waits for it."""
    while not server.started:
        await asyncio.sleep(_LOOK)
    with suppress(OSError):  # a filter of system calls may not allow it; the unit says Nice= then
        os.setpriority(os.PRIO_PROCESS, 0, max(_NICE, os.getpriority(os.PRIO_PROCESS, 0)))


async def _end_when_idle(server: uvicorn.Server, page: Page, seconds: float) -> None:
    busy = time.monotonic()
    while time.monotonic() - busy < seconds:
        await asyncio.sleep(_LOOK)
        if server.server_state.connections or page.viewers.pages:
            busy = time.monotonic()
    _log.info("nobody has looked for %g s: ends until somebody does", seconds)
    server.should_exit = True


def _from_systemd() -> socket.socket | None:
    """The socket that systemd listens on for this process."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or os.environ.get("LISTEN_FDS", "0") == "0":
        return None
    return socket.socket(fileno=_FIRST)


def _listening(host: str, port: int) -> socket.socket:
    """Raises UsageError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        return socket.create_server(found[0][4][:2], family=found[0][0], backlog=64)
    except OSError as error:
        why = error.strerror or error
        raise UsageError(f"{host} port {port} cannot be listened on: {why}; set another service.web.port") from None


def _shown(listening: socket.socket) -> tuple[str, int]:
    host, port = listening.getsockname()[:2]
    return str(host), int(port)

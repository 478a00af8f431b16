"""The web page as an ASGI application: its routes, and what they share."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from daemon.config.page import PageConfig
from daemon.web.answers import Refusal, answer
from daemon.web.commanding import Commanding
from daemon.web.daemon_link import DaemonLink
from daemon.web.known_state import KnownState, Line
from daemon.web.live_pictures import LivePictures
from daemon.web.live_view import LivePage, Viewers
from daemon.web.page_files import PageFiles
from daemon.web.page_login import Login
from daemon.web.page_readings import Readings
from daemon.web.request_rules import Caller, RequestRules
from daemon.web.save_history import SaveHistory
from daemon.web.saving import Saving
from daemon.web.sessions import Sessions

_log = logging.getLogger("ospreyd.web")
Endpoint = Callable[[Request], Awaitable[Response]]


class Page:
    """Everything behind the page of one daemon."""

    def __init__(self, config: PageConfig, runtime: Path, state_folder: Path) -> None:
        """`runtime`: where the daemon's socket is; `state_folder`: where old texts of the configuration are kept."""
        web = config.web
        self._files = PageFiles()
        self._known = KnownState()
        self._link = DaemonLink(runtime / f"{config.device}.sock", self._take)
        pictures = LivePictures(self._link)
        self.viewers = Viewers(web, self._known, pictures, self._link.watch, _log.info)
        self._sessions = Sessions()
        cookie = f"ospreyd_{config.device}"
        self._login = Login(config, runtime, self._sessions, cookie)
        readings = Readings(self._link, self._known, pictures, self.viewers)
        commands = Commanding(self._link, self._known)
        history = SaveHistory(state_folder / "history" / config.device)
        saving = Saving(config.file.absolute(), history, self._link, self._known)
        rules = Middleware(RequestRules, web=web, cookie=cookie, sessions=self._sessions, is_open=self._is_open)
        self.app = Starlette(
            routes=[
                *self._routes(readings, commands, saving),
                WebSocketRoute("/api/live", self._live),
                Route("/healthz", self._health),
                Route("/", self._file),
                Route("/{name}", self._file),
            ],
            middleware=[rules],
            exception_handlers={Refusal: _refused, HTTPException: _wrong, Exception: _failed},
            lifespan=self._lifespan,
        )
        self.app.router.redirect_slashes = False
        self.app.state.read_only = web.read_only

    def _routes(self, readings: Readings, commands: Commanding, saving: Saving) -> list[Route]:
        table: list[tuple[str, str, Endpoint]] = [
            ("GET", "session", self._login.show),
            ("POST", "session", self._login.begin),
            ("DELETE", "session", self._login.end),
            ("GET", "state", readings.state),
            ("GET", "events", readings.events),
            ("GET", "events/{number}.jpg", readings.event_picture),
            ("GET", "log", readings.log),
            ("GET", "cameras/{camera}/picture.jpg", readings.picture),
            ("GET", "cameras/{camera}/timeline", readings.timeline),
            ("GET", "cameras/{camera}/shapes", saving.show),
            ("PUT", "cameras/{camera}/shapes", saving.save),
            ("POST", "cameras/{camera}/shapes/check", saving.check),
            ("POST", "cameras/{camera}/set/{setting}", commands.set),
            ("GET", "history", saving.history),
            ("POST", "history/{number}", saving.put_back),
            ("POST", "reload", commands.reload),
            ("POST", "models/{model}/build", commands.build),
        ]
        self.operations = {(method, path) for method, path, _ in table}
        paths = dict.fromkeys(path for _, path, _ in table)
        return [Route(f"/api/{path}", _by_method({m: e for m, p, e in table if p == path})) for path in paths]

    def _is_open(self, path: str) -> bool:
        """Whether a path needs no session."""
        name = path.removeprefix("/")
        return name in ("", "healthz", "api/session") or name in self._files

    def _take(self, line: Line, data: bytes) -> None:
        """A line of the daemon."""
        self._known.take(line, data)
        if line["kind"] != "detections":
            self.viewers.tell(data)

    async def _live(self, socket: WebSocket) -> None:
        caller: Caller = socket.state.caller
        await socket.accept()
        await self.viewers.serve(
            LivePage(socket, self.viewers, lambda: self._sessions.role(caller.token), caller.address)
        )

    async def _health(self, _: Request) -> Response:
        return answer({"ok": True, "pages": self.viewers.pages})

    async def _file(self, request: Request) -> Response:
        name = request.path_params.get("name", "index.html")
        if name not in self._files:
            raise Refusal(404, "not-found", "there is no such page")
        return self._files.response(request, name)

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(self._link.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


class _by_method:  # noqa: N801 - used as a function; Starlette takes a class as an ASGI application
    """One path's endpoints as an ASGI application: what has another method is answered in JSON."""

    def __init__(self, endpoints: dict[str, Endpoint]) -> None:
        self._endpoints = endpoints

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive, send)
        endpoint = self._endpoints.get(request.method)
        if endpoint is None:
            allowed = ", ".join(self._endpoints)
            raise Refusal(405, "not-allowed", f"only {allowed} here", {"Allow": allowed})
        await (await endpoint(request))(scope, receive, send)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)  # noqa: S101 - for the type checker: it is registered for these
    return error.response()


async def _wrong(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    code = {404: "not-found", 405: "not-allowed"}.get(status, "invalid")
    return Refusal(status, code, "there is no such page" if status == 404 else "this cannot be answered").response()


async def _failed(_: Request, error: Exception) -> Response:
    _log.error("a request has failed", exc_info=error)
    return Refusal(500, "internal", "internal error; the log of the page's process says more").response()

"""Logging in and out, by password or by the token of a link."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from daemon import __version__
from daemon.config.page import PageConfig
from daemon.system.login_links import take_token
from daemon.web.answers import Given, Refusal, answer, body
from daemon.web.request_rules import Caller
from daemon.web.sessions import LASTS, Failures, Passwords, Role, Sessions

_log = logging.getLogger("ospreyd.web")


class Credentials(Given):
    """One of both."""

    password: str | None = Field(None, max_length=1024)
    token: str | None = Field(None, max_length=128)


class Login:
    """The endpoints of `session`."""

    def __init__(self, config: PageConfig, runtime: Path, sessions: Sessions, cookie: str) -> None:
        self._config = config
        self._runtime = runtime
        self._sessions = sessions
        self._cookie = cookie
        self._passwords = Passwords(config.web.password, config.web.viewer_password)
        self._failures = Failures()
        self._attempt = asyncio.Lock()
        """held from the count of failures to the next of them: many at once are no more attempts than one by one"""

    async def show(self, request: Request) -> Response:
        """Who is logged in."""
        caller: Caller = request.state.caller
        return answer(self._told(caller, caller.role))

    async def begin(self, request: Request) -> Response:
        """Lets somebody in. Raises Refusal."""
        caller: Caller = request.state.caller
        given = await body(request, Credentials)
        if (given.password is None) == (given.token is None):
            raise Refusal(422, "invalid", "give either a password or a token")
        what = "link" if given.password is None else "password"
        async with self._attempt:
            role = await self._role(caller, given)
        _log.info("%s has logged in by %s, role %s", caller.address, what, role)
        self._sessions.end(caller.token)
        return answer(
            self._told(caller, role), headers={"Set-Cookie": self._set(caller, self._sessions.begin(role), LASTS)}
        )

    async def end(self, request: Request) -> Response:
        """Logs out."""
        caller: Caller = request.state.caller
        self._sessions.end(caller.token)
        return Response(status_code=204, headers={"Set-Cookie": self._set(caller, "", 0), "Cache-Control": "no-store"})

    async def _role(self, caller: Caller, given: Credentials) -> Role:
        """What whoever gives these may do. Raises Refusal."""
        if wait := self._failures.wait(caller.address, guessable=given.token is None):
            detail = f"too many attempts; try again in {wait} s"
            raise Refusal(429, "too-many", detail, {"Retry-After": str(wait)})
        role: Role | None
        if given.token is not None:
            good = await asyncio.to_thread(take_token, self._runtime, self._config.device, given.token)
            role = "edit" if good else None
        else:
            role = await self._passwords.role(given.password or "")
        if role is None:
            what = "link" if given.password is None else "password"
            self._failures.add(caller.address)
            _log.warning("%s was not let in: wrong %s", caller.address, what)
            hint = "a link is good once, for 10 minutes" if what == "link" else "that password is not right"
            raise Refusal(401, "wrong-password", f"{hint}; `ospreyd web --link` gives a new link")
        return role

    def _told(self, caller: Caller, role: Role | None) -> dict[str, object]:
        web = self._config.web
        return {
            "role": role,
            "read_only": web.read_only,
            "passwords": bool(self._passwords),
            "insecure": not caller.secure and not caller.local,
            "version": __version__ if role else None,
            "device": self._config.device if role else None,
        }

    def _set(self, caller: Caller, token: str, seconds: float) -> str:
        """The cookie, without a path: the default, …/api, fits behind every prefix."""
        site = "None" if self._config.web.embed else "Strict"
        secure = "; Secure" if caller.secure or self._config.web.embed else ""
        return f"{self._cookie}={token}; Max-Age={seconds:.0f}; HttpOnly; SameSite={site}{secure}"

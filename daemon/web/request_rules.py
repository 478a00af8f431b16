"""What every request must keep to, and what every answer carries: host, origin, session, headers."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from daemon.config.service import Web
from daemon.web.answers import LARGEST_BODY, Refusal
from daemon.web.live_view import NOT_LOGGED_IN
from daemon.web.sessions import Role, Sessions

_SAFE = {"GET", "HEAD"}
_PORTS = {"http": 80, "https": 443}
_NOT_OURS = (
    "this request does not come from the page itself; where a proxy gives the page another name, add that to "
    "service.web.hosts"
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request."""

    address: str
    secure: bool
    """over TLS, the proxy's too"""
    role: Role | None
    token: str | None
    """of its session, good or not"""

    @property
    def local(self) -> bool:
        """Whether it comes from this machine."""
        try:
            return ip_address(self.address).is_loopback
        except ValueError:
            return False


class RequestRules:
    """ASGI middleware. The caller is in the scope's state, as `caller`."""

    def __init__(self, app: ASGIApp, web: Web, cookie: str, sessions: Sessions, is_open: Callable[[str], bool]) -> None:
        """`cookie` of sessions; `is_open`: whether a path needs none."""
        self._app = app
        self._web = web
        self._cookie = cookie
        self._sessions = sessions
        self._is_open = is_open
        own = socket.gethostname().lower()
        self._listed = set(map(str.lower, web.hosts))
        self._hosts = {"localhost", own, f"{own}.local", *self._listed}
        self._proxies = [ip_network(network) for network in web.trusted_proxies]
        self._headers = _headers(web.embed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        caller = self._caller(scope, headers)
        scope.setdefault("state", {})["caller"] = caller
        refusal = self._refusal(scope, headers, caller)
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send, refusal)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *self._headers]
            await send(message)

        if refusal is not None:
            await refusal.response()(scope, receive, send_with_headers)
        else:
            await self._app(scope, receive, send_with_headers)

    async def _socket(self, scope: Scope, receive: Receive, send: Send, refusal: Refusal | None) -> None:
        """A page that is not logged in sees that from the code that closes its socket; others are not let in at all."""
        if refusal is None:
            await self._app(scope, receive, send)
            return
        await receive()
        if refusal.status == 401:
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": NOT_LOGGED_IN})
        else:
            await send({"type": "websocket.close"})

    def _caller(self, scope: Scope, headers: Headers) -> Caller:
        address = scope["client"][0] if scope.get("client") else ""
        secure = scope["scheme"] in ("https", "wss")
        if self._is_proxy(address):
            lines = headers.getlist("x-forwarded-for")  # some proxies add one below the caller's own
            forwarded = [part.strip() for part in ",".join(lines).split(",") if part.strip()]
            address = next((one for one in reversed(forwarded) if not self._is_proxy(one)), address)
            secure = secure or headers.get("x-forwarded-proto", "").strip().lower() == "https"
        token = _cookie(headers.getlist("cookie"), self._cookie)
        return Caller(address[:64], secure, self._sessions.role(token), token)

    def _is_proxy(self, address: str) -> bool:
        try:
            return any(ip_address(address) in network for network in self._proxies)
        except ValueError:
            return False

    def _refusal(self, scope: Scope, headers: Headers, caller: Caller) -> Refusal | None:
        host = headers.get("host", "")
        if not self._is_known(_name(host)):
            detail = f"this page does not know the name {_name(host)[:80]!r}; add it to service.web.hosts"
            return Refusal(421, "wrong-host", detail)
        if scope["type"] == "websocket" or scope["method"] not in _SAFE:
            own = self._is_own(headers.get("origin"), host)
            if not own or headers.get("sec-fetch-site", "same-origin") != "same-origin":
                return Refusal(403, "wrong-origin", _NOT_OURS)
        length = headers.get("content-length", "0")
        if not length.isdigit() or len(length) > 12 or int(length) > LARGEST_BODY:
            return Refusal(413, "too-large", f"the body is larger than {LARGEST_BODY >> 10} KiB")
        if caller.role is None and not self._is_open(scope["path"]):
            return Refusal(401, "not-logged-in", "log in first; `ospreyd web --link` gives a link that does it")
        return None

    def _is_known(self, name: str) -> bool:
        """Whether browsers may call the page by this name: no name of somebody else's that leads here."""
        try:
            ip_address(name.strip("[]"))
        except ValueError:
            return name in self._hosts
        return True

    def _is_own(self, origin: str | None, host: str) -> bool:
        """Whether a page of this origin is ours."""
        if origin is None:
            return False
        scheme = origin.partition("://")[0]
        place = _place(origin)
        return (
            scheme in _PORTS
            and place is not None
            and (place == _place(f"{scheme}://{host}") or place[0] in self._listed)
        )


def _place(url: str) -> tuple[str, int] | None:
    """Host and port of a URL; None where it has none."""
    try:
        parts = urlsplit(url)
        return (parts.hostname, parts.port or _PORTS[parts.scheme]) if parts.hostname else None
    except (ValueError, KeyError):
        return None


def _has_port(host: str) -> bool:
    return ":" in host.rpartition("]")[2]


def _name(host: str) -> str:
    """The name of a Host header, without its port."""
    name = host.rpartition(":")[0] if _has_port(host) else host
    return name.lower().rstrip(".")


def _cookie(cookies: Iterable[str], name: str) -> str | None:
    for cookie in cookies:
        for part in cookie.split(";"):
            key, _, value = part.strip().partition("=")
            if key == name:
                return value
    return None


def _headers(embed: tuple[str, ...]) -> list[tuple[bytes, bytes]]:
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        f"base-uri 'none'; form-action 'none'; frame-ancestors {' '.join(embed) or chr(39) + 'none' + chr(39)}"
    )
    headers = {
        "content-security-policy": policy,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-resource-policy": "same-origin",
        "cross-origin-opener-policy": "same-origin",
        "permissions-policy": "camera=(), microphone=(), geolocation=()",
    }
    if not embed:
        headers["x-frame-options"] = "DENY"
    return [(name.encode(), value.encode()) for name, value in headers.items()]

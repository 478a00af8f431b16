"""Requests to HTTP cameras: logins, redirects, and what it means if there is no video."""

from __future__ import annotations

import io
from contextlib import suppress
from http.client import HTTPException, HTTPResponse
from typing import Any, cast

from daemon.capture.sources.base import SourceError
from daemon.capture.sources.login import authorization, challenges_in
from daemon.capture.sources.server import Connection, Server, first_server, no_answer
from daemon.capture.sources.statuses import meaning, redirected
from daemon.records import Reason

_MOST_REDIRECTS = 5
_CHUNK = 65536  # bytes read at once


class Response:
    """A successful response whose body is still to be read."""

    def __init__(self, server: Server, connection: Connection, answer: HTTPResponse) -> None:
        self.server = server
        """that sent it"""
        self.content_type = (answer.getheader("Content-Type") or "").strip()
        self._connection = connection
        self._answer = answer
        self._begin = b""

    def peek(self, count: int, deadline: float) -> bytes:
        """The first `count` bytes, fewer at the end; `read` gives them again. Raises SourceError."""
        while len(self._begin) < count and (more := self._read(deadline)):
            self._begin += more
        return self._begin

    def read(self, deadline: float) -> bytes:
        """What has come of the body; nothing at its end. Raises SourceError if nothing has come by `deadline`."""
        if self._begin:
            begin, self._begin = self._begin, b""
            return begin
        return self._read(deadline)

    def close(self) -> None:
        """Closes the connection."""
        with suppress(OSError):
            self._answer.close()
        self._connection.close()

    def _read(self, deadline: float) -> bytes:
        self._connection.deadline = deadline
        try:
            return self._answer.read1(_CHUNK)
        except TimeoutError as error:
            raise no_answer(self.server, error) from error
        except (OSError, HTTPException, ValueError):  # broken off; ValueError: a chunk without a length
            return b""


def get(url: str, deadline: float) -> Response:
    """Asks for a URL, by time.monotonic() until `deadline`. Raises SourceError where the answer is no success."""
    first = server = first_server(url)
    for _ in range(_MOST_REDIRECTS):
        try:
            answer = _get(server, deadline)
        except SourceError as error:
            raise error if server is first else redirected(first, server, error) from error
        if isinstance(answer, Response):
            return answer
        server = answer
    raise SourceError(Reason.NO_VIDEO, f"{first} redirects again and again, last to {server}; check its settings")


def is_page(content_type: str) -> bool:
    """Whether it is of a page for people or programs, which no video is."""
    return content_type.partition(";")[0].strip().lower() in ("text/html", "application/xhtml+xml", "application/json")


def whole_body(response: Response, most: int, deadline: float) -> bytes:
    """The body, of which at most `most` bytes are read. Raises SourceError."""
    body = io.BytesIO()
    while body.tell() < most and (more := response.read(deadline)):
        body.write(more)
    return body.getvalue()


def _get(server: Server, deadline: float) -> Response | Server:
    """The response, or where the server redirects to. Raises SourceError."""
    connection, answer = _exchange(server, None, deadline)
    login = _login(server, answer) if answer.status == 401 and server.user is not None else None
    if login is not None:
        connection.close()  # it may still carry a page
        connection, answer = _exchange(server, login, deadline)
    if answer.status < 300:
        return Response(server, connection, answer)
    connection.close()
    if answer.status < 400 and (location := answer.getheader("Location")):
        try:
            return server.redirected(location)
        except ValueError:
            detail = f"{server} redirects to what is no URL of video; check its settings"
            raise SourceError(Reason.NO_VIDEO, detail) from None
    raise meaning(server, answer.status)


def _login(server: Server, answer: HTTPResponse) -> str | None:
    """The value of Authorization. Raises SourceError if the server wants a login of another kind."""
    headers = answer.msg.get_all("WWW-Authenticate", [])
    found = challenges_in(headers)
    known = sorted((each for each in found if each.is_known), key=lambda each: not each.digest)
    if known:
        return authorization(server, known[0], "GET", server.target)
    if not headers:
        return None
    others = [each.split()[0] for each in headers if each.strip()]
    ways = ", ".join([f"Digest with {each.algorithm}" for each in found] or others or ["without a name"])
    detail = f"{server} wants a login of a kind that ospreyd does not know ({ways}); set the camera to Digest or Basic"
    raise SourceError(Reason.UNSUPPORTED, detail)


def _exchange(server: Server, login: str | None, deadline: float) -> tuple[Connection, HTTPResponse]:
    lines = [
        f"GET {server.target} HTTP/1.1",
        f"Host: {server.place}",
        "User-Agent: ospreyd",
        "Accept: */*",
        "Connection: close",
    ]
    lines += [f"Authorization: {login}"] if login else []
    connection = None
    try:
        connection = Connection(server, deadline)
        connection.send(lines)
        answer = HTTPResponse(cast(Any, connection), method="GET")
        answer.begin()
    except (OSError, HTTPException) as error:
        if connection is not None:
            connection.close()
        if isinstance(error, HTTPException):
            raise SourceError(Reason.NO_VIDEO, f"{server} does not speak HTTP; check the port") from error
        raise no_answer(server, error) from error
    return connection, answer

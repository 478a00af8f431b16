"""An RTSP server like odd cameras: with any time stamps, logins, refusals and redirects."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from hashlib import md5, sha256
from typing import IO

from tests.servers.mpeg4 import description, encoded, packets

Stamp = Callable[[int, float], float]
"""the time stamp of a frame, seconds, from its number and the seconds since the first"""

_BEGIN = 3600.0  # of the time stamps, seconds
_NONCE = "8f1c"


def digest(algorithm: str | None = None) -> str:
    """A challenge for a Digest login."""
    return f'Digest realm="camera", nonce="{_NONCE}"' + (f", algorithm={algorithm}" if algorithm else "")


class QuirkyRtsp:
    """Serves on a free port as soon as it is made, each client from a thread of its own, over TCP."""

    def __init__(
        self,
        *,
        fps: float = 10.0,
        stamp: Stamp | None = None,
        burst: float = 0.0,
        challenges: Sequence[str] = (),
        statuses: Mapping[str, str] | None = None,
        redirect: str | None = None,
        login: str = "gate:s3cret",
        host: str = "127.0.0.1",
    ) -> None:
        """`stamp` is by default in step with `fps`; frames of `burst` seconds are sent together.

        `challenges` are the values of WWW-Authenticate for `login`, user:password. `statuses` is what each method is
        answered with instead of 200, and DESCRIBE is answered with a `redirect` to that URL.
        """
        self.requests: list[str] = []
        """method and URL"""
        self.sent = 0
        """frames, to all clients"""
        self._fps = fps
        self._stamp: Stamp = stamp or (lambda number, _: number / fps)
        self._burst = burst
        self._challenges = challenges
        self._statuses = dict(statuses or {})
        self._redirect = redirect
        self._login = login
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family)
        self._host = f"[{host}]" if ":" in host else host
        self.port: int = self._listener.getsockname()[1]
        self._closing = threading.Event()
        threading.Thread(target=self._accept, name="rtsp server", daemon=True).start()

    def url(self, credentials: str = "") -> str:
        """Of the stream; `credentials` as user:password."""
        return f"rtsp://{credentials and credentials + '@'}{self._host}:{self.port}/stream"

    def __enter__(self) -> QuirkyRtsp:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._listener.close()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection = self._listener.accept()[0]
            except OSError:  # closed
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        """Until the client closes its connection."""
        gone = threading.Event()
        with suppress(OSError), connection, connection.makefile("rb") as stream:
            while request := _request(stream):
                method, url, fields = request
                self.requests.append(f"{method} {url}")
                status, head, body = self._answer(method, url, fields)
                lines = [f"RTSP/1.0 {status}", f"CSeq: {fields['cseq']}", *head]
                lines += [f"Content-Length: {len(body)}"] if body else []
                connection.sendall(("\r\n".join([*lines, "", ""]) + body).encode())
                if method == "PLAY" and status == "200 OK":
                    threading.Thread(target=self._play, args=(connection, gone), daemon=True).start()
        gone.set()

    def _answer(self, method: str, url: str, fields: Mapping[str, str]) -> tuple[str, list[str], str]:
        """Status, head and body."""
        if method == "OPTIONS":
            return "200 OK", ["Public: DESCRIBE, SETUP, PLAY, TEARDOWN"], ""
        if self._challenges and not self._is_right(fields.get("authorization", ""), method):
            return "401 Unauthorized", [f"WWW-Authenticate: {challenge}" for challenge in self._challenges], ""
        if method in self._statuses:
            return self._statuses[method], [], ""
        if method == "DESCRIBE" and self._redirect:
            return "302 Found", [f"Location: {self._redirect}"], ""
        if method == "DESCRIBE":
            return "200 OK", ["Content-Type: application/sdp", f"Content-Base: {url.rstrip('/')}/"], description()
        session = ["Session: 1"]
        if method == "SETUP":
            session += [f"Transport: {fields['transport'].strip()}"]
        return "200 OK", session, ""

    def _is_right(self, authorization: str, method: str) -> bool:
        """Whether the login is; RFC 2069, as RTSP cameras have it."""
        given = {
            name: quoted or plain for name, quoted, plain in re.findall(r'(\w+)="?(?:([^",]*)|(\S*))', authorization)
        }
        hashed = sha256 if given.get("algorithm", "MD5") == "SHA-256" else md5
        user, _, password = self._login.partition(":")
        who = hashed(f"{user}:camera:{password}".encode()).hexdigest()
        what = hashed(f"{method}:{given.get('uri')}".encode()).hexdigest()
        return given.get("response") == hashed(f"{who}:{_NONCE}:{what}".encode()).hexdigest()

    def _play(self, connection: socket.socket, gone: threading.Event) -> None:
        """Sends frames at their rate, whatever their time stamps are."""
        began, number, held, sent = time.monotonic(), 0, b"", 0.0
        video = encoded()
        with suppress(OSError):
            for count in range(1 << 32):
                passed = time.monotonic() - began
                frame = video[count % len(video)]
                for packet in packets(frame, _BEGIN + self._stamp(count, passed), number):
                    held += b"$\0" + len(packet).to_bytes(2, "big") + packet
                    number += 1
                self.sent += 1
                if passed - sent >= self._burst:
                    connection.sendall(held)
                    held, sent = b"", passed
                if gone.wait(max(0.0, (count + 1) / self._fps - passed)) or self._closing.is_set():
                    return


def _request(stream: IO[bytes]) -> tuple[str, str, dict[str, str]] | None:
    """Method, URL and fields of the next request, reports about the video left out; None: the client has gone."""
    while (first := stream.read(1)) == b"$":
        stream.read(int.from_bytes(stream.read(3)[1:], "big"))
    line = (first + stream.readline()).decode().split()
    if len(line) < 2:
        return None
    fields = {}
    while text := stream.readline().decode().strip():
        name, _, fields[name.lower()] = text.partition(":")
    return line[0], line[1], fields

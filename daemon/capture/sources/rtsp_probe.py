"""Finds out why an RTSP camera gives no video by asking its server; OpenCV does not tell."""

from __future__ import annotations

import re
import time
from contextlib import closing
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException, parse_headers

from daemon.capture.sources.base import SourceError
from daemon.capture.sources.login import Challenge, authorization, challenges_in
from daemon.capture.sources.server import Connection, Server, first_server, no_answer
from daemon.capture.sources.statuses import meaning, redirected
from daemon.records import Reason

_MOST_REDIRECTS = 5
_LARGEST_BODY = 65536  # bytes; no camera's description of its streams is longer
_TRANSPORTS = {"tcp": "RTP/AVP/TCP;unicast;interleaved=0-1", "udp": "RTP/AVP;unicast;client_port=50000-50001"}


@dataclass(frozen=True, slots=True)
class _Answer:
    """A response."""

    status: int | None
    """None: not a response of RTSP"""
    fields: Message
    body: str


def probe(url: str, timeout: float, transport: str | None = "tcp") -> SourceError | None:
    """What is wrong with the stream at an rtsp:// or rtsps:// URL; None if its server sees nothing wrong.

    Takes at most `timeout` seconds. `transport` is that of the video; None: it is not known, so no video is asked for.
    """
    deadline = time.monotonic() + timeout
    try:
        first = server = first_server(url)
    except SourceError as error:
        return error
    for _ in range(_MOST_REDIRECTS):
        answer = _ask(server, deadline, transport)
        if not isinstance(answer, Server):
            return answer if answer is None or server is first else redirected(first, server, answer)
        server = answer
    return SourceError(Reason.NO_VIDEO, f"{first} redirects again and again, last to {server}; check its settings")


def _ask(server: Server, deadline: float, transport: str | None) -> SourceError | Server | None:
    """What is wrong, or where the server redirects to."""
    try:
        with closing(_Conversation(server, deadline)) as conversation:
            return conversation.ask_for_stream(transport)
    except OSError as error:
        return no_answer(server, error)


class _Conversation:
    """One connection, on which the server keeps its challenge and its session."""

    def __init__(self, server: Server, deadline: float) -> None:
        self._server = server
        self._connection = Connection(server, deadline)
        self._reader = self._connection.makefile()
        self._requests = 0
        self._challenge: Challenge | None = None

    def close(self) -> None:
        self._reader.close()

    def ask_for_stream(self, transport: str | None) -> SourceError | Server | None:
        """Goes as far as OpenCV does before the first frame. Raises OSError."""
        server = self._server
        url = server.base + server.target
        answer = self._request("DESCRIBE", url, "Accept: application/sdp")
        if answer.status is None:
            return SourceError(Reason.NO_VIDEO, f"{server} does not speak RTSP; check the port")
        if answer.status == 401 and (error := self._login_error(answer)):
            return error
        if 300 <= answer.status < 400 and (location := answer.fields.get("Location")):
            return _redirection(server, location)
        if answer.status >= 300:
            return meaning(server, answer.status)
        return None if transport is None else self._play(answer, url, transport)

    def _play(self, described: _Answer, url: str, transport: str) -> SourceError | None:
        """What is wrong with the video of the stream that the server has described. Raises OSError."""
        track = _video_track(described, url)
        if track is None:
            detail = f"{self._server} has no video in this stream; check the path of the source"
            return SourceError(Reason.NO_VIDEO, detail)
        answer = self._request("SETUP", track, f"Transport: {_TRANSPORTS[transport]}")
        if answer.status == 200:
            session = f"Session: {answer.fields.get('Session', '').partition(';')[0]}"
            if transport == "tcp":  # over UDP the video would go to whoever has the ports
                answer = self._request("PLAY", url, session)
            self._send("TEARDOWN", url, session)
        failed = answer.status is not None and answer.status >= 300
        return meaning(self._server, answer.status or 0, transport) if failed else None

    def _login_error(self, answer: _Answer) -> SourceError | None:
        """What is wrong with the way in which the server wants a login, if that is it."""
        challenge = _opencvs_choice(answer)
        if challenge is None or _opencv_knows(challenge) or self._server.user is None:
            return None
        wants = f"wants a Digest login with {challenge.algorithm}, which OpenCV does not know"
        return SourceError(
            Reason.UNSUPPORTED, f"{self._server} {wants}; set the camera to Digest with MD5, or to Basic"
        )

    def _request(self, method: str, url: str, field: str) -> _Answer:
        self._send(method, url, field)
        answer = self._read()
        if answer.status == 401 and self._server.user is not None and self._challenge is None:
            challenge = _opencvs_choice(answer)
            if challenge is not None and _opencv_knows(challenge):
                self._challenge = challenge
                self._send(method, url, field)
                answer = self._read()
        return answer

    def _send(self, method: str, url: str, field: str) -> None:
        self._requests += 1
        lines = [f"{method} {url} RTSP/1.0", f"CSeq: {self._requests}", field, "User-Agent: ospreyd"]
        if self._challenge is not None:
            lines.append(f"Authorization: {authorization(self._server, self._challenge, method, url)}")
        self._connection.send(lines)

    def _read(self) -> _Answer:
        while (first := self._reader.read(1)) == b"$":  # video that overtakes the answer
            self._reader.read(int.from_bytes(self._reader.read(3)[1:], "big"))
        status = re.match(rb"RTSP/\d\.\d (\d{3})", first + self._reader.readline(_LARGEST_BODY))
        if status is None:
            return _Answer(None, Message(), "")
        try:
            fields = parse_headers(self._reader)
        except HTTPException:
            return _Answer(None, Message(), "")
        length = re.fullmatch(r"[0-9]{1,9}", fields.get("Content-Length", "").strip())
        body = self._reader.read(min(int(length[0]), _LARGEST_BODY)) if length else b""
        return _Answer(int(status[1]), fields, body.decode("latin-1"))


def _redirection(by: Server, location: str) -> Server | SourceError:
    try:
        return by.redirected(location)
    except ValueError:
        return SourceError(Reason.NO_VIDEO, f"{by} redirects to what is no URL of video; check its settings")


def _opencvs_choice(answer: _Answer) -> Challenge | None:
    """The challenge that OpenCV's FFmpeg answers: the last Digest one, else a Basic one."""
    found = challenges_in(answer.fields.get_all("WWW-Authenticate", []))
    return next((each for each in reversed(found) if each.digest), found[-1] if found else None)


def _opencv_knows(challenge: Challenge) -> bool:
    return not challenge.digest or challenge.algorithm in ("MD5", "MD5-sess")


def _video_track(answer: _Answer, url: str) -> str | None:
    """URL of the first video in a description; None: it has none."""
    if not answer.body:
        return url
    base = (answer.fields.get("Content-Base") or answer.fields.get("Content-Location") or url).strip().rstrip("/")
    _, video, rest = ("\n" + answer.body).partition("\nm=video")
    if not video:
        return None
    control = re.search(r"(?m)^a=control:[ \t]*(\S+)", rest.partition("\nm=")[0])
    if control is None or control[1] == "*":
        return base
    return control[1] if re.match(r"(?i)rtsps?://", control[1]) else f"{base}/{control[1]}"

"""What a camera's server is asked, and what its answers mean."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from daemon.capture.sources.http_client import get
from daemon.capture.sources.rtsp_probe import probe
from daemon.records import Reason


class _Server:
    """Answers each request with the next of the given heads, over as many connections as are made."""

    def __init__(self, listener: socket.socket, answers: list[str]) -> None:
        self.port: int = listener.getsockname()[1]
        self.requests: list[str] = []
        self.connections = 0
        self._listener = listener
        self._answers = answers

    def serve(self) -> None:
        while self._answers:
            connection, _ = self._listener.accept()
            self.connections += 1
            with connection:
                while self._answers and (request := connection.recv(65536)):
                    self.requests.append(request.decode())
                    connection.sendall(self._answers.pop(0).replace("\n", "\r\n").encode())


@contextmanager
def _answering(*answers: str) -> Iterator[_Server]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = _Server(listener, list(answers))
        thread = threading.Thread(target=server.serve)
        thread.start()
        yield server
        thread.join(10.0)
        assert not thread.is_alive()


@pytest.mark.parametrize(
    ("scheme", "answer", "reason", "detail"),
    [
        ("rtsp", "RTSP/1.0 200 OK\n\n", None, ""),
        ("rtsp", "RTSP/1.0 404 Not Found\n\n", Reason.NOT_FOUND, "has no such stream; check the path of the source"),
        (
            "rtsp",
            "RTSP/1.0 403 Forbidden\n\n",
            Reason.UNAUTHORIZED,
            "forbids this stream; check what the user of the source may see",
        ),
        ("rtsp", "RTSP/1.0 599 Own\n\n", Reason.NO_VIDEO, "answers with status 599 and no video"),
        (
            "rtsp",
            f"RTSP/1.0 404 No\nContent-Length: {'1' * 5000}\n\n",
            Reason.NOT_FOUND,
            "has no such stream; check the path of the source",
        ),
        ("rtsp", "HTTP/1.1 400 Bad Request\n\n", Reason.NO_VIDEO, "does not speak RTSP; check the port"),
    ],
)
def test_responses_and_their_reasons(scheme: str, answer: str, reason: Reason | None, detail: str) -> None:
    with _answering(answer) as server:
        error = probe(f"{scheme}://127.0.0.1:{server.port}/stream", 3.0, transport=None)
    if reason is None:
        assert error is None
    else:
        assert error
        assert (error.reason, str(error)) == (reason, f"127.0.0.1:{server.port} {detail}")


@pytest.mark.parametrize("host", ["a" * 64, f"camera.{'a' * 64}.local", "ü" * 60, "camera..local", ".local", "x" * 300])
def test_an_invalid_host_name_is_named(host: str) -> None:
    error = probe(f"rtsp://gate:s3cret@{host}/stream", 20.0)
    assert error
    assert error.reason is Reason.UNREACHABLE
    assert str(error).startswith(f"{host} is not a valid host name: ")


def test_a_request_carries_the_path_and_no_password_unasked() -> None:
    with _answering("RTSP/1.0 401 Unauthorized\n\n") as server:
        probe(f"rtsp://gate:s3cret@127.0.0.1:{server.port}/live?channel=1", 3.0)
    assert server.requests[0].splitlines()[0] == f"DESCRIBE rtsp://127.0.0.1:{server.port}/live?channel=1 RTSP/1.0"
    assert len(server.requests) == 1
    assert "s3cret" not in server.requests[0]
    assert "Authorization" not in server.requests[0]


def test_rtsp_answers_a_challenge_over_the_same_connection() -> None:
    refusal = 'RTSP/1.0 401 Unauthorized\nWWW-Authenticate: Digest realm="camera", nonce="1"\n\n'
    with _answering(refusal, "RTSP/1.0 200 OK\n\n") as server:
        assert probe(f"rtsp://gate:s3cret@127.0.0.1:{server.port}/stream", 3.0) is None
    assert (server.connections, len(server.requests)) == (1, 2)


def test_a_login_that_is_not_known_and_asked_for_late_is_a_refusal() -> None:
    refusal = 'RTSP/1.0 401 Unauthorized\nWWW-Authenticate: Digest realm="camera", nonce="1", algorithm=MD4\n\n'
    accepted = "RTSP/1.0 200 OK\n\n"
    with _answering(accepted, accepted, refusal, accepted) as server:
        error = probe(f"rtsp://gate:s3cret@127.0.0.1:{server.port}/stream", 3.0)
    assert error
    assert error.reason is Reason.UNAUTHORIZED


def test_digest_as_the_example_of_rfc_2617(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda _: "0a4f113b")
    challenge = (
        'Digest realm="testrealm@host.com", qop="auth,auth-int", '
        'nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"'
    )
    refusal = f'HTTP/1.1 401 Unauthorized\nWWW-Authenticate: Basic realm="x"\nWWW-Authenticate: {challenge}\n\n'
    with _answering(refusal, "HTTP/1.1 200 OK\nContent-Length: 0\n\n") as server:
        url = f"http://Mufasa:Circle%20Of%20Life@127.0.0.1:{server.port}/dir/index.html"
        get(url, time.monotonic() + 3.0).close()
    assert (
        'Authorization: Digest username="Mufasa", realm="testrealm@host.com", '
        'nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", uri="/dir/index.html", '
        'opaque="5ccc069c403ebaf9f0171e9517f40e41", qop=auth, nc=00000001, cnonce="0a4f113b", '
        'response="6629fae49393a05397450978507c4ef1"\r\n'
    ) in server.requests[1]

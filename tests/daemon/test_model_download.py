"""A pinned file is fetched from servers of every kind: it comes whole and right, or not at all."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from daemon.modelstore.download import Pin, download
from daemon.modelstore.request import DownloadError, Patience
from tests.servers import certificates
from tests.servers.model_server import (
    Answer,
    ModelServer,
    cut,
    drip,
    endless,
    garbage,
    nothing,
    other,
    plain,
    redirect,
    stall,
    status,
    whole,
    wrong_range,
)
from tests.servers.mosquitto import free_port

DATA = random.Random(1).randbytes(200_000)
PIN = Pin(len(DATA), hashlib.sha256(DATA).hexdigest())
QUICK = Patience(waits=(0.01, 0.02, 0.03), stall=20)
IMPATIENT = Patience(waits=(0.01,) * 5, stall=1)
DRIP = 2.0  # seconds without a byte that end a try; the whole file takes longer
PAGE = b"<!DOCTYPE html><title>log in</title>" + b" " * 1000
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 200000\n"
CHANGED = DATA[:-1] + b"x"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def fetch(server: ModelServer, part: Path, patience: Patience = QUICK) -> list[int]:
    """What the progress said."""
    told: list[int] = []
    download(f"{server.url}/model.onnx", part, PIN, patience, lambda done, _total: told.append(done))
    return told


RIGHT: dict[str, tuple[list[Answer], int]] = {
    "plain": ([plain], 1),
    "a redirect": ([redirect("/elsewhere.onnx")], 2),
    "five redirects": ([redirect("/elsewhere.onnx")] * 5, 6),
    "no answer": ([nothing], 2),
    "no web server at first": ([garbage], 2),
    "a state that passes": ([status(503), status(500), status(429, Retry_After=0)], 4),
    "it says when to come again": ([status(503, Retry_After=1)], 2),
    "no range, the second time": ([cut(70_000), whole], 2),
    "another range, the second time": ([cut(70_000), wrong_range], 3),
    "no such range": ([cut(70_000), status(416)], 3),
    "no length, and the end is missing": ([endless(DATA[:1000])], 2),
}


@pytest.mark.parametrize("case", RIGHT)
def test_it_comes_whole(case: str, tmp_path: Path) -> None:
    answers, requests = RIGHT[case]
    with ModelServer(DATA, answers=list(answers)) as server:
        told = fetch(server, tmp_path / "part")
        assert (tmp_path / "part").read_bytes() == DATA
        assert len(server.requests) == requests
        assert told[-1] == len(DATA)


def test_a_server_that_is_still_is_asked_again(tmp_path: Path) -> None:
    with ModelServer(DATA, answers=[stall(50_000), stall(50_000)]) as server:
        fetch(server, tmp_path / "part", IMPATIENT)
        assert (tmp_path / "part").read_bytes() == DATA
        assert {asked for _, asked in server.requests} >= {"bytes=50000-", "bytes=100000-"}
    with ModelServer(DATA, otherwise=stall(0)) as server:
        with pytest.raises(DownloadError, match="sent nothing for 1 s"):
            fetch(server, tmp_path / "another", IMPATIENT)
        assert len(server.requests) > 1


def test_a_slow_server_is_waited_for(tmp_path: Path) -> None:
    began = time.monotonic()
    with ModelServer(DATA, answers=[drip]) as server:
        fetch(server, tmp_path / "part", Patience(stall=DRIP))
        assert len(server.requests) == 1
    assert time.monotonic() - began > DRIP


@pytest.mark.parametrize("tenth", range(1, 10))
def test_a_cut_is_resumed_where_it_was(tenth: int, tmp_path: Path) -> None:
    """From the first URL, since what it redirected to may have expired."""
    at = len(DATA) * tenth // 10
    with ModelServer(DATA, answers=[redirect("/signed"), cut(at)]) as server:
        fetch(server, tmp_path / "part")
        assert (tmp_path / "part").read_bytes() == DATA
        assert server.requests == [
            ("/model.onnx", None), ("/signed", None), ("/model.onnx", f"bytes={at}-"),
        ]  # fmt: skip


WRONG: dict[str, tuple[list[Answer], str, int]] = {
    "other bytes": ([other(CHANGED)], "sha256 is ", 1),
    "too long, and says so": ([other(DATA + b"x")], "has 200,001 bytes", 1),
    "too long": ([endless(DATA + b"x" * 100_000)], "is longer than 200,000 bytes", 1),
    "too short, and says so": ([other(DATA[:-1])], "has 199,999 bytes", 1),
    "always too short": ([endless(b"")] * 4, "ended after 0 of", 4),
    "a web page": ([other(PAGE, Content_Type="text/html")], "got a web page", 1),
    "a web page without its length": ([endless(PAGE)], "got a web page", 1),
    "a pointer": ([other(POINTER)], "got a Git LFS pointer", 1),
    "gone": ([status(404)], "404: gone from there", 1),
    "forbidden": ([status(403)], "403: ", 1),
    "always busy": ([status(503)] * 4, "503: ", 4),
    "busy for long": ([status(429, Retry_After=3600)], "429: asks to wait 3600 s", 1),
    "six redirects": ([redirect("/elsewhere.onnx")] * 6, "redirects more than 5 times", 6),
    "a redirect to a file": ([redirect("file:///etc/passwd")], "redirects", 1),
    "no web server": ([garbage] * 4, "without a proper answer", 4),
}


@pytest.mark.parametrize("case", WRONG)
def test_it_does_not_come(case: str, tmp_path: Path) -> None:
    answers, sentence, requests = WRONG[case]
    part = tmp_path / "part"
    with ModelServer(DATA, answers=list(answers)) as server:
        with pytest.raises(DownloadError) as error:
            fetch(server, part)
        assert sentence in str(error.value)
        assert len(server.requests) == requests
    assert not part.exists() or DATA.startswith(part.read_bytes())


BEGINNINGS: dict[str, tuple[bytes, list[str | None]]] = {
    "of the file": (DATA[:1000], ["bytes=1000-"]),
    "all of it": (DATA, []),
    "of another file": (b"y" * 1000, ["bytes=1000-", None]),
    "another file": (CHANGED, [None]),
    "too long": (DATA + b"y", [None]),
}


@pytest.mark.parametrize("case", BEGINNINGS)
def test_what_is_there_is_used_where_it_is_right(case: str, tmp_path: Path) -> None:
    beginning, ranges = BEGINNINGS[case]
    (tmp_path / "part").write_bytes(beginning)
    with ModelServer(DATA) as server:
        fetch(server, tmp_path / "part")
        assert (tmp_path / "part").read_bytes() == DATA
        assert [asked for _, asked in server.requests] == ranges


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "part").symlink_to(tmp_path / "somewhere")
    with ModelServer(DATA) as server, pytest.raises(DownloadError, match="cannot be written"):
        fetch(server, tmp_path / "part")
    assert not (tmp_path / "somewhere").exists()


def test_https(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An authority that is trusted, one that is not, and a redirect to what is not encrypted."""
    keys = certificates.make(tmp_path / "keys", "DNS:localhost")
    part = tmp_path / "part"
    with ModelServer(DATA, keys) as server, ModelServer(DATA) as open_to_all:
        with pytest.raises(DownloadError, match=r"its certificate is not valid .* is the clock of this machine right"):
            fetch(server, part)
        assert server.requests == []
        monkeypatch.setenv("SSL_CERT_FILE", str(keys / "ca.crt"))
        server.answers = [redirect(f"{open_to_all.url}/model.onnx")]
        with pytest.raises(DownloadError, match="redirects to http, which is not followed"):
            fetch(server, part)
        assert (open_to_all.requests, part.exists()) == ([], False)
        fetch(server, part)
        assert part.read_bytes() == DATA
        with ModelServer(b"") as proxy:
            part.unlink()
            monkeypatch.setenv("https_proxy", proxy.url)
            monkeypatch.delenv("no_proxy", raising=False)
            monkeypatch.delenv("NO_PROXY", raising=False)
            fetch(server, part)
            assert [path for path, _ in proxy.requests] == [server.url.removeprefix("https://")]


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        (lambda: f"http://127.0.0.1:{free_port()}/x", "127.0.0.1 cannot be reached: Connection refused"),
        (lambda: "http://models.invalid/x", "models.invalid cannot be reached: name not found"),
    ],
    ids=["refused", "no name"],
)
def test_no_server(url: Callable[[], str], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError) as error:
        download(url(), tmp_path / "part", PIN, QUICK, lambda _done, _total: None)
    assert str(error.value) == sentence
    assert error.value.unreachable

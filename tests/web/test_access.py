"""Who gets in, who may do what, and from where: nothing is shown to, or done for, anybody else."""

from __future__ import annotations

import http.client
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.web.conftest import PASSWORD, SECRET, VIEWER
from tests.web.running import WebPage

pytestmark = pytest.mark.timeout(300)  # daemon and page start with the first test

READ = (
    *("api/state", "api/events", "api/events/1.jpg", "api/log", "api/history", "api/cameras/street/picture.jpg"),
    *("api/cameras/street/timeline", "api/cameras/street/shapes", "api/nothing", "nothing", "api/live"),
)
WRITE = (
    *(("PUT", "api/cameras/street/shapes"), ("POST", "api/cameras/street/shapes/check"), ("POST", "api/reload")),
    *(("POST", "api/history/1"), ("POST", "api/cameras/street/set/fps"), ("POST", "api/models/default/build")),
)


def raw(web: WebPage, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> tuple[int, str]:
    """With exactly these headers; the status and the body."""
    connection = http.client.HTTPConnection(urlsplit(web.url).netloc, timeout=30)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_a_stranger_sees_the_login_and_nothing_else(web: WebPage) -> None:
    with web.stranger() as stranger:
        for path in READ:
            answer = stranger.get(path)
            assert (answer.status_code, answer.json()["error"]) == (401, "not-logged-in"), path
        for method, path in WRITE:
            assert stranger.request(method, path, json={}).status_code == 401, path
        assert stranger.get("healthz").json()["ok"] is True
        told = stranger.get("api/session").json()
        assert told == {
            "role": None,
            "read_only": False,
            "passwords": True,
            "insecure": False,
            "version": None,
            "device": None,
        }
        with pytest.raises(ConnectionClosed) as closed, web.live(stranger) as socket:
            socket.recv(timeout=10)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401
        stranger.cookies.set("ospreyd_box", "x" * 43)
        assert stranger.get("api/state").status_code == 401


def test_who_may_look_may_not_change_anything(web: WebPage, viewer: httpx.Client) -> None:
    assert viewer.get("api/session").json()["role"] == "view"
    for path in ("api/state", "api/events", "api/cameras/street/shapes", "api/cameras/street/timeline"):
        assert viewer.get(path).status_code == 200, path
    for path in ("api/log", "api/history", "api/cameras/street/picture.jpg?edited=0"):
        answer = viewer.get(path)
        assert (answer.status_code, answer.json()["error"]) == (403, "forbidden"), path
    for method, path in WRITE:
        assert viewer.request(method, path, json={}, headers={"If-Match": "x"}).status_code == 403, path


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("127.0.0.1:80", 200),
        ("192.0.2.7:9470", 200),
        ("[::1]:9470", 200),
        ("LOCALHOST.:1", 200),
        ("127.0.0.1.evil.test", 421),
        ("evil.test", 421),
        ("localhost.evil.test:9470", 421),
        ("", 421),
        ("0x7f000001", 421),
        ("[::1", 421),
    ],
)
def test_only_known_names_lead_to_the_page(web: WebPage, host: str, status: int) -> None:
    found, text = raw(web, "GET", "/api/session", {"Host": host})
    assert found == status
    assert status == 200 or "service.web.hosts" in text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://evil.test"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "file://127.0.0.1"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Origin": "OURS", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "OURS", "Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "OURS", "Content-Type": "text/plain"}, 415),
        ({"Origin": "OURS", "Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Origin": "OURS", "Sec-Fetch-Site": "same-origin", "Content-Type": "application/json"}, 422),
    ],
)
def test_no_other_page_can_send_anything(web: WebPage, headers: dict[str, str], status: int) -> None:
    sent = {name: value.replace("OURS", web.origin) for name, value in headers.items()}
    host = urlsplit(web.url).netloc
    found, text = raw(web, "POST", "/api/session", {"Host": host, "Content-Length": "1", **sent}, b"{")
    assert found == status, text


def test_no_other_page_can_open_a_socket(web: WebPage, editor: httpx.Client) -> None:
    for headers in ({"Origin": "http://evil.test"}, {"Sec-Fetch-Site": "cross-site"}):
        with pytest.raises(InvalidStatus) as refused, web.live(editor, **headers):
            pass
        assert refused.value.response.status_code == 403


def test_every_answer_forbids_what_is_not_the_page_s_own(web: WebPage, editor: httpx.Client) -> None:
    for path in ("", "healthz", "api/state", "api/nothing"):
        headers = editor.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'"), path
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")
        assert headers["cross-origin-resource-policy"] == headers["cross-origin-opener-policy"] == "same-origin"
        assert "server" not in headers
    assert editor.get("api/state").headers["cache-control"] == "no-store"
    page = editor.get("")
    assert page.headers["content-type"].startswith("text/html")
    assert editor.get("", headers={"If-None-Match": page.headers["etag"]}).status_code == 304


def test_a_link_is_good_once(web: WebPage) -> None:
    link = web.printed_link()
    assert link.startswith(f"{web.url}#token=")
    token = link.partition("#token=")[2]
    with web.stranger() as one, web.stranger() as other:
        answer = one.post("api/session", json={"token": token})
        assert (answer.status_code, answer.json()["role"]) == (200, "edit")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert "Path" not in cookie, "the default, …/api, fits behind every prefix"
        assert "Secure" not in cookie
        assert one.get("api/state").status_code == 200
        assert other.post("api/session", json={"token": token}).status_code == 401
        assert one.delete("api/session").status_code == 204
        assert one.get("api/state").status_code == 401
        assert "log" not in cookie
    assert token not in web.log


def test_paths_cannot_be_walked_nor_methods_guessed(web: WebPage, editor: httpx.Client) -> None:
    host = {"Host": urlsplit(web.url).netloc}
    for path in ("/../box.yaml", "/%2e%2e/box.yaml", "/..%2fbox.yaml", "/static/../../box.yaml", "//box.yaml", "/%00"):
        status, text = raw(web, "GET", path, host)
        assert status in (401, 404), path
        assert "device" not in text
    assert editor.get("api/cameras/nobody/shapes").status_code == 404
    assert editor.get("api/cameras/..%2f..%2fbox.yaml/shapes").status_code == 404
    assert editor.post("api/state", json={}).status_code == 405
    assert editor.get("api/events/1e9.jpg").status_code == 404
    for wrong in ("after=-1", "after=x", "after=1e3", "after=99999999999999999999"):
        assert editor.get(f"api/events?{wrong}").status_code == 422
    answer = editor.post("api/reload", content=b" " * 300_000, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]) == (413, "too-large")


def test_no_password_is_ever_shown(web: WebPage, editor: httpx.Client) -> None:
    for path in READ:
        assert SECRET not in editor.get(path).text, path
    with web.live(editor) as socket:
        told = [socket.recv(timeout=10) for _ in range(5)]
    assert not any(SECRET in text for text in told if isinstance(text, str))
    assert not any(secret in web.log for secret in (SECRET, PASSWORD, VIEWER))


def test_who_guesses_has_to_wait_and_nobody_else(web: WebPage) -> None:
    wrong_forms: tuple[object, ...] = (
        {},
        {"password": "x", "token": "y"},
        {"password": 1},
        [],
        {"password": "x" * 2000},
    )
    with web.stranger("127.0.0.2") as stranger:
        for wrong in wrong_forms:
            assert stranger.post("api/session", json=wrong).status_code == 422
        for _ in range(5):
            answer = stranger.post("api/session", json={"password": "wrong password"})
            assert (answer.status_code, answer.json()["error"]) == (401, "wrong-password")
        answer = stranger.post("api/session", json={"password": PASSWORD})
        assert (answer.status_code, answer.json()["error"]) == (429, "too-many")
        assert 0 < int(answer.headers["retry-after"]) <= 61
    with web.client(PASSWORD) as client:
        assert client.get("api/session").json()["role"] == "edit"


def test_many_guesses_at_once_are_no_more_than_one_by_one(web: WebPage) -> None:
    with web.stranger("127.0.0.3") as stranger, ThreadPoolExecutor(10) as threads:
        guesses = [
            threads.submit(stranger.post, "api/session", json={"password": f"wrong password {number}"})
            for number in range(10)
        ]
        assert sorted(guess.result().status_code for guess in guesses) == [401] * 5 + [429] * 5

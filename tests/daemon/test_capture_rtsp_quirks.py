"""RTSP servers that refuse, redirect, or want a login of another kind: each has its reason and what mends it."""

from __future__ import annotations

import random
import time
from contextlib import closing

import pytest

from daemon.capture.sources.rtsp_probe import probe
from daemon.records import CameraState, Reason
from tests.daemon.capturing import capturing
from tests.servers.proxy import Proxy
from tests.servers.quirky_rtsp import QuirkyRtsp, digest

_LOGIN = "gate:s3cret"


@pytest.mark.parametrize("method", ["DESCRIBE", "SETUP", "PLAY"])
@pytest.mark.parametrize(
    ("status", "reason", "named"),
    [
        ("453 Not Enough Bandwidth", Reason.REFUSED, "too many viewers"),
        ("503 Service Unavailable", Reason.REFUSED, "too many viewers"),
        ("454 Session Not Found", Reason.REFUSED, "too many viewers"),
        ("461 Unsupported Transport", Reason.UNSUPPORTED, "transport: udp"),
        ("404 Not Found", Reason.NOT_FOUND, "check the path"),
        ("403 Forbidden", Reason.UNAUTHORIZED, "forbids"),
        ("500 Internal Server Error", Reason.NO_VIDEO, "restart it"),
        ("415 Unsupported Media Type", Reason.NO_VIDEO, "codec"),
        ("551 Option Not Supported", Reason.UNSUPPORTED, "option"),
        ("599 Own", Reason.NO_VIDEO, "status 599"),
    ],
)
def test_statuses_have_a_reason_at_every_step(method: str, status: str, reason: Reason, named: str) -> None:
    with QuirkyRtsp(statuses={method: status}) as server:
        error = probe(server.url(), 3.0)
    assert error is not None
    assert error.reason is reason
    assert named in str(error)


@pytest.mark.usefixtures("decoder")
def test_a_server_with_too_many_viewers_says_so() -> None:
    with QuirkyRtsp(statuses={"PLAY": "453 Not Enough Bandwidth"}) as server, capturing(server.url()) as captured:
        status = captured.wait_for_state(CameraState.OFFLINE, Reason.REFUSED)
    assert "too many viewers" in status.detail


@pytest.mark.parametrize(
    "challenges",
    [[digest()], [digest("MD5")], [digest("SHA-256"), digest()], ['Basic realm="x"', digest()]],
    ids=["Digest", "MD5", "SHA-256 and MD5", "Basic and Digest"],
)
@pytest.mark.usefixtures("decoder")
def test_logins_that_opencv_knows(challenges: list[str]) -> None:
    with QuirkyRtsp(challenges=challenges, login="g\u00e2te@/%#:s3 cret@:/%#?") as server:
        assert probe(server.url("g%C3%A2te%40%2F%25%23:s3%20cret%40%3A%2F%25%23%3F"), 3.0) is None
        with capturing(server.url(), user="g\u00e2te@/%#", password="s3 cret@:/%#?") as captured:
            captured.wait_for_frames(1)
        with capturing(server.url(), user="g\u00e2te@/%#", password="wrong") as captured:
            captured.wait_for_state(CameraState.OFFLINE, Reason.UNAUTHORIZED)


@pytest.mark.parametrize(
    "challenges",
    [
        [digest("SHA-256")],
        [digest(), digest("SHA-256")],
        [f'{digest("SHA-256")}, Basic realm="x"'],
        [digest("SHA-512-256")],
    ],
    ids=["SHA-256", "MD5 before SHA-256", "SHA-256 and Basic", "SHA-512-256"],
)
def test_a_login_that_opencv_does_not_know_is_named(challenges: list[str]) -> None:
    with QuirkyRtsp(challenges=challenges) as server, capturing(server.url(_LOGIN)) as captured:
        status = captured.wait_for_state(CameraState.OFFLINE, Reason.UNSUPPORTED)
    assert "SHA-" in status.detail
    assert "MD5" in status.detail


@pytest.mark.usefixtures("decoder")
def test_redirects_are_followed() -> None:
    with QuirkyRtsp(challenges=[digest()]) as camera, QuirkyRtsp(redirect=camera.url()) as first:
        assert probe(first.url(_LOGIN), 3.0) is None
        with capturing(first.url(_LOGIN)) as captured:
            captured.wait_for_frames(1)


@pytest.mark.parametrize(
    ("location", "reason", "named"),
    [
        ("rtsp://127.0.0.1:9/x", Reason.REFUSED, "127.0.0.1:9 refuses"),
        ("rtsp://camera.invalid/x", Reason.UNREACHABLE, "camera.invalid:554"),
        ("http://127.0.0.1/x", Reason.NO_VIDEO, "no URL of video"),
    ],
)
def test_redirects_to_nowhere_name_the_host(location: str, reason: Reason, named: str) -> None:
    with QuirkyRtsp(redirect=location) as server, capturing(server.url()) as captured:
        status = captured.wait_for_state(CameraState.OFFLINE, reason)
    assert f"127.0.0.1:{server.port} redirects to" in status.detail
    assert named in status.detail


@pytest.mark.usefixtures("decoder")
def test_ipv6_and_a_scheme_in_capitals() -> None:
    with QuirkyRtsp(host="::1") as server, capturing(server.url().replace("rtsp:", "RTSP:")) as captured:
        captured.wait_for_frames(1)


@pytest.mark.usefixtures("decoder")
def test_a_silent_stream_is_stalled_in_time() -> None:
    """When reading times out, FFmpeg still gives the frame that it had begun; it is not used."""
    with (
        QuirkyRtsp() as server,
        closing(Proxy(server.port, random.Random(1))) as proxy,
        capturing(f"rtsp://127.0.0.1:{proxy.port}/stream", stall_after=2.0) as captured,
    ):
        captured.wait_for_frames(10)
        silent = time.monotonic()
        proxy.silent = True
        status = captured.wait_for_state(CameraState.STALLED, Reason.TIMEOUT)
    assert status.since - silent == pytest.approx(2.0, abs=1.0)
    assert captured.frames[-1].captured_mono - silent < 1.0

"""The kinds of sources, told from their text, and the settings that are for some of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from daemon.capture.sources.rtsp_probe import probe
from daemon.capture.sources.server import server_of
from daemon.config.camera import Camera
from daemon.config.sources import SPECIFIC_SETTINGS, SourceKind, is_live, kinds_with, source_kind, titles_of
from daemon.records import Reason


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("rtsp://cam/1", SourceKind.RTSP),
        ("RTSPS://cam/1", SourceKind.RTSP),
        ("http://cam/1.mjpg", SourceKind.HTTP),
        ("https://cam/1.mjpg", SourceKind.HTTP),
        ("0", SourceKind.V4L2),
        ("/dev/v4l/by-id/usb-x", SourceKind.V4L2),
        ("videotestsrc ! appsink", SourceKind.GSTREAMER),
        ("rtspsrc location=rtsp://cam/1 ! decodebin ! appsink", SourceKind.GSTREAMER),
        ("street.mp4", SourceKind.PATH),
        ("/var/pictures", SourceKind.PATH),
        ("0/", SourceKind.PATH),
        ("Stop!.mp4", SourceKind.PATH),
    ],
)
def test_kinds_of_sources(source: str, kind: SourceKind) -> None:
    assert source_kind(source) is kind


def test_every_kind_of_source_is_registered() -> None:
    assert all(titles_of(frozenset({kind})) for kind in SourceKind)
    assert Camera.model_fields.keys() >= SPECIFIC_SETTINGS


@pytest.mark.parametrize(
    ("setting", "kinds", "titles"),
    [
        ("transport", {SourceKind.RTSP}, "RTSP"),
        ("loop", {SourceKind.PATH}, "files"),
        ("decoder_threads", {SourceKind.RTSP, SourceKind.HTTP, SourceKind.PATH}, "RTSP, HTTP and files"),
    ],
)
def test_settings_are_for_kinds_of_sources(setting: str, kinds: set[SourceKind], titles: str) -> None:
    assert kinds_with(setting) == kinds
    assert titles_of(kinds_with(setting)) == titles


def test_only_paths_are_recordings() -> None:
    sources = ["rtsp://cam/1", "http://cam/1", "0", "videotestsrc ! appsink", "street.mp4"]
    assert [is_live(source) for source in sources] == [True, True, True, True, False]


@pytest.mark.parametrize("url", ["rtsp://fe80::1/x", "http://2001:db8::7:8080/x", "rtsps://gate:s3cret@::1/x"])
def test_an_ipv6_address_without_brackets_is_named(url: str) -> None:
    with pytest.raises(ValidationError, match="IPv6 address in a URL needs brackets") as caught:
        Camera(source=url)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("place", ["[::1", "cam:x", "gate:s3cret#1@cam", "s3:cr/et@cam"])
def test_a_url_without_a_valid_host_and_port_has_a_reason(place: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Camera(source=f"rtsp://{place}/stream")
    assert "s3" not in str(refused.value)
    error = probe(f"rtsp://{place}/stream", 1.0)  # as a redirection may lead there
    assert error is not None
    assert (error.reason, "no valid host and port" in str(error)) == (Reason.UNREACHABLE, True)
    assert "s3" not in str(error)


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        *((rest, "the URL has no host") for rest in ("", "/x", ":80", ":80/x", "u:p@/x", "u:p@:554/x", "?x", "#x")),
        *(
            (f"cam:{port}/x", "the port of the URL must be")
            for port in ("", "0", "99999", "abc", "5 54", "+554", "5_54")
        ),
        *((f"{host}/x", "no valid host") for host in ("[::1", "[zz]", "[::1]x", "a b", "a..b", ".cam", "c,d", "a%20b")),
        *((f"{host}:554/x", "no valid host") for host in ("256.1.1.1", "1.2.3.4.5", "a" * 64, "cam\\x", "\u00a0")),
    ],
)
def test_a_url_without_a_valid_host_or_port_is_refused(rest: str, said: str) -> None:
    for scheme in ("rtsp", "rtsps", "http", "https"):
        with pytest.raises(ValidationError, match=said):
            Camera(source=f"{scheme}://{rest}")


@pytest.mark.parametrize("host", ["my_cam", "cam.", "k\u00e4mera.example", "10.0.0.1", "127.1", "-cam", "1cam"])
def test_hosts_that_are_in_use_are_valid(host: str) -> None:
    assert Camera(source=f"http://{host}:8080/x").url == f"http://{host}:8080/x"


@pytest.mark.parametrize("place", ["cam", "[::1]:8554", "[fe80::1%25eth0]", "gate:s3cret@[2001:db8::7]", "cam:554"])
def test_urls_with_a_valid_host_and_port(place: str) -> None:
    assert Camera(source=f"RTSP://{place}/Stream").url == f"rtsp://{place}/Stream"


@given(user=st.text(min_size=1), password=st.text())
def test_user_and_password_come_out_of_the_url_as_they_went_in(user: str, password: str) -> None:
    user, password = (text.encode("utf-8", "replace").decode() for text in (user, password))
    camera = Camera(source="rtsp://cam:8554/a?b=c", user=user, password=SecretStr(password))
    server = server_of(camera.url)
    assert (server.user, server.password, server.host, server.port) == (user, password, "cam", 8554)
    assert server.target == "/a?b=c"


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"source": "rtsp://a:b@cam/1", "user": "x"}, "user"),
        ({"source": "rtsp://cam/1", "password": "x"}, "password"),
        ({"source": "0", "user": "x"}, "user"),
        ({"source": "rtsp://cam/1", "poll": 2}, "poll"),
    ],
)
def test_logins_and_polling_that_do_not_fit(settings: dict[str, Any], key: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Camera.model_validate(settings)
    assert [error["loc"] for error in caught.value.errors()] == [(key,)]

"""HTTP cameras as they are: MJPEG in any framing, damaged parts, still pictures, logins, redirects and pages."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.capture.sources.base import SourceError
from daemon.capture.sources.http_client import get
from daemon.capture.sources.jpegs import JpegSplitter
from daemon.records import CameraState, Drop, Reason
from tests.daemon.capturing import capturing
from tests.servers.quirky_http import JPEGS, Answer, QuirkyHttp, head, part, still, stream

_STREAMING = [(CameraState.CONNECTING, None), (CameraState.STREAMING, None)]


def _chunked(_: int, jpeg: bytes) -> bytes:
    content = part(jpeg)
    return b"%x\r\n%b\r\n" % (len(content), content)


_FRAMINGS: dict[str, Answer] = {
    "usual": stream(lambda _, jpeg: part(jpeg)),
    "no lengths": stream(lambda _, jpeg: part(jpeg, length=-1)),
    "wrong lengths": stream(lambda _, jpeg: part(jpeg, length=len(jpeg) + 10)),
    "line feeds": stream(lambda _, jpeg: part(jpeg, line="\n")),
    "first picture before the first boundary": stream(lambda _, jpeg: part(jpeg, "")[2:] + b"--frame\r\n"),
    "announced with dashes": stream(lambda _, jpeg: part(jpeg), head("multipart/x-mixed-replace; boundary=--frame")),
    "quoted": stream(lambda _, jpeg: part(jpeg), head('multipart/x-mixed-replace; boundary="frame"')),
    "no boundary announced": stream(lambda _, jpeg: part(jpeg), head("multipart/x-mixed-replace")),
    "another boundary announced": stream(lambda _, jpeg: part(jpeg), head("multipart/x-mixed-replace; boundary=b")),
    "no content type": stream(lambda _, jpeg: part(jpeg), head("")),
    "a picture by its type": stream(lambda _, jpeg: part(jpeg), head("image/jpeg")),
    "chunked": stream(_chunked, head("multipart/x-mixed-replace; boundary=frame", "Transfer-Encoding: chunked")),
    "pictures alone": stream(lambda _, jpeg: jpeg, head("video/x-motion-jpeg")),
    "old head": stream(lambda _, jpeg: part(jpeg), b"HTTP/1.0 200 OK\nContent-Type: multipart/x-mixed-replace\n\n"),
}


@pytest.mark.parametrize("name", _FRAMINGS)
def test_mjpeg_streams_in_any_framing(name: str) -> None:
    with QuirkyHttp(_FRAMINGS[name]) as server, capturing(server.url()) as captured:
        captured.wait_for_frames(8)
        assert captured.frames[0].image.host().shape == (120, 160, 3)
        assert captured.dropped(Drop.DAMAGED) == 0
        assert captured.states() == _STREAMING


@pytest.mark.parametrize("damage", [b"", b"camera offline " * 9, JPEGS[0][: len(JPEGS[0]) // 2], b"\xff\xd8\xff\xd9"])
def test_a_part_that_is_no_picture_costs_one_frame_and_one_count(damage: bytes) -> None:
    answer = stream(lambda number, jpeg: part(damage if number % 5 == 4 else jpeg))
    with QuirkyHttp(answer, fps=40) as server, capturing(server.url()) as captured:
        captured.wait_for_frames(21)
        report = captured.stats.report(("cam",)).cameras["cam"]
        assert len(server.requests) == 1
    assert report.dropped == {Drop.DAMAGED: pytest.approx(report.captured / 5, abs=1)}
    assert captured.states() == _STREAMING


def test_a_stream_of_nothing_but_damaged_parts_is_stalled() -> None:
    answer = stream(lambda number, jpeg: part(jpeg if number < 5 else b"camera offline"))
    with QuirkyHttp(answer) as server, capturing(server.url(), stall_after=0.5, open_timeout=1) as captured:
        captured.wait_for_state(CameraState.STALLED, Reason.TIMEOUT)
    assert captured.dropped(Drop.DAMAGED) > 3


@given(
    parts=st.lists(
        st.one_of(st.integers(0, 9), st.sampled_from([b"", b"offline", b"\xff\xd8"])), min_size=1, max_size=9
    ),
    sizes=st.lists(st.integers(1, 3000), min_size=1, max_size=9),
)
def test_pictures_are_found_however_the_stream_is_cut(parts: list[int | bytes], sizes: list[int]) -> None:
    data = b"".join(part(each if isinstance(each, bytes) else JPEGS[each]) for each in parts) + part(JPEGS[0])
    splitter, found, at = JpegSplitter("frame"), [], 0
    for number in range(len(data)):
        size = sizes[number % len(sizes)]
        found += splitter.feed(data[at : at + size])
        at += size
        if at >= len(data):
            break
    assert found == [None if isinstance(each, bytes) else JPEGS[each] for each in parts] + [JPEGS[0]]


@pytest.mark.parametrize("length", [True, False])
def test_a_still_picture_is_polled(length: bool) -> None:
    answer = still(lambda number: JPEGS[number % 10], length=length)
    with QuirkyHttp(answer) as server, capturing(server.url(), poll=0.1, keep_images=True) as captured:
        captured.wait_for_frames(6)
        assert captured.states() == _STREAMING
    took = captured.frames[5].captured_mono - captured.frames[0].captured_mono
    assert took > 0.35
    assert not (captured.images[0] == captured.images[1]).all()


def test_a_poll_without_a_picture_costs_one_frame_and_stopping_does_not_wait_for_the_next() -> None:
    answer = still(lambda number: b"busy" if number == 2 else JPEGS[0])
    with QuirkyHttp(answer) as server, capturing(server.url(), poll=0.1) as captured:
        captured.wait_for_frames(4)
        assert captured.dropped(Drop.DAMAGED) == 1
        assert captured.states() == _STREAMING
    with QuirkyHttp(answer) as server, capturing(server.url(), poll=3600, stall_after=1) as captured:
        captured.wait_for_frames(1)
        began = time.monotonic()
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("algorithm", ["MD5", "MD5-sess", "SHA-256", "SHA-256-sess"])
def test_digest_logins(algorithm: str) -> None:
    with QuirkyHttp(still(lambda _: JPEGS[0]), digest=algorithm, login="gâte:p@ss :/%#") as server:
        with capturing(server.url(), user="gâte", password="p@ss :/%#") as captured:
            captured.wait_for_frames(1)
        with capturing(server.url(), user="gâte", password="wrong") as captured:
            captured.wait_for_state(CameraState.OFFLINE, Reason.UNAUTHORIZED)
        with capturing(server.url()) as captured:
            captured.wait_for_state(CameraState.OFFLINE, Reason.UNAUTHORIZED)


def _redirection(location: str) -> Answer:
    def answer(_: int) -> Iterator[bytes]:
        yield head("", f"Location: {location}", "Content-Length: 0", status="302 Found")

    return answer


def test_redirects_are_followed_with_the_login_to_the_same_host() -> None:
    with QuirkyHttp(still(lambda _: JPEGS[0]), digest="MD5") as camera, QuirkyHttp(_redirection(camera.url())) as first:
        with capturing(first.url(), user="gate", password="s3cret") as captured:
            captured.wait_for_frames(1)
        assert "s3cret" not in "".join(camera.requests + first.requests)
        elsewhere = f"http://localhost:{camera.port}/"
        with (
            QuirkyHttp(_redirection(elsewhere)) as other,
            capturing(other.url(), user="gate", password="s3cret") as captured,
        ):
            captured.wait_for_state(CameraState.OFFLINE, Reason.UNAUTHORIZED)


@pytest.mark.parametrize(
    ("location", "reason", "named"),
    [
        ("http://127.0.0.1:9/x", Reason.REFUSED, "127.0.0.1:9 refuses"),
        ("https://camera.invalid/x", Reason.UNREACHABLE, "camera.invalid:443"),
        ("/again", Reason.NO_VIDEO, "again and again"),
        ("ftp://camera.invalid/x", Reason.NO_VIDEO, "no URL of video"),
    ],
)
def test_redirects_to_nowhere_name_the_host(location: str, reason: Reason, named: str) -> None:
    with QuirkyHttp(_redirection(location)) as server, pytest.raises(SourceError, match=named) as caught:
        get(server.url(), time.monotonic() + 3)
    assert caught.value.reason is reason
    assert f"127.0.0.1:{server.port} redirects" in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "reason", "named"),
    [
        (head("text/html; charset=utf-8") + b"<html>", Reason.NO_VIDEO, "text/html"),
        (head("image/jpeg") + b"no picture", Reason.NO_VIDEO, "no picture"),
        (head("multipart/x-mixed-replace"), Reason.NO_VIDEO, "no JPEG picture"),
        (head("", status="503 Busy"), Reason.REFUSED, "too many viewers"),
        (head("", "WWW-Authenticate: Digest algorithm=MD4", status="401 No"), Reason.UNSUPPORTED, "MD4"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", Reason.NO_VIDEO, "does not speak HTTP"),
    ],
)
def test_http_answers_without_video_have_a_reason(answer: bytes, reason: Reason, named: str) -> None:
    def once(_: int) -> Iterator[bytes]:
        yield answer

    with QuirkyHttp(once) as server, capturing(server.url(), user="gate", password="s3cret") as captured:
        status = captured.wait_for_state(CameraState.OFFLINE, reason)
    assert named in status.detail


def test_a_body_of_another_kind_is_left_to_ffmpeg() -> None:
    def once(_: int) -> Iterator[bytes]:
        yield head("video/mp2t") + b"\x47" * 188

    with QuirkyHttp(once) as server:
        with closing(get(server.url(), time.monotonic() + 3)) as response:
            assert response.content_type == "video/mp2t"
        with capturing(server.url()) as captured:
            captured.wait_for_state(CameraState.OFFLINE, Reason.NO_VIDEO)
        assert len(server.requests) >= 3

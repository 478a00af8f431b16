"""What one camera's source or server does wrong ends its connection, never the daemon."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from daemon.capture.buffers import FrameMemory
from daemon.capture.sources.video_file import VideoFile
from daemon.records import CameraState, Reason
from engines.pictures import Image
from tests.daemon.capturing import capturing, pictures, write_video
from tests.servers.quirky_http import QuirkyHttp, head

_DETAIL = "ospreyd cannot read this source: unexpected IndexError; the log says where"


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """As many frames as there are buffers, twice."""
    return write_video(tmp_path / "video.avi", pictures(8))


@pytest.mark.parametrize("method", ["_open_reader", "grab", "retrieve"])
@pytest.mark.usefixtures("decoder")
def test_an_unexpected_error_of_a_source_is_logged_and_the_camera_tried_again(
    method: str, video: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """More often than there are buffers: each is given back."""
    real = getattr(VideoFile, method)
    failed: list[int] = []

    def fails(source: VideoFile, *arguments: Image | None) -> object:
        if len(failed) < 6:
            failed.append(1)
            raise IndexError("rtsp://gate:s3cret@camera/")
        return real(source, *arguments)

    monkeypatch.setattr("daemon.system.backoff.Backoff.next", lambda _: 0.01)
    monkeypatch.setattr(VideoFile, method, fails)
    with capturing(video, loop=True) as captured:
        captured.wait_for_frames(5)
    assert len(failed) == 6
    assert _DETAIL in [status.detail for status in captured.statuses]
    assert {status.reason for status in captured.statuses} == {None, Reason.NO_VIDEO}
    assert "IndexError" in caplog.text
    assert "Traceback" in caplog.text


def test_an_unexpected_error_in_closing_ends_nothing(
    video: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = VideoFile.close

    def fails(source: VideoFile) -> None:
        real(source)
        raise IndexError

    monkeypatch.setattr(VideoFile, "close", fails)
    with capturing(video) as captured:
        captured.wait_for_state(CameraState.OFFLINE, Reason.ENDED)
    assert "Traceback" in caplog.text


def test_memory_that_is_short_is_waited_for(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More often than there are buffers: each is given back."""
    asked: list[tuple[int, ...]] = []

    def allocate(shape: tuple[int, ...]) -> Image:
        asked.append(shape)
        if len(asked) <= 6:
            raise RuntimeError("out of page-locked memory")
        return np.empty(shape, np.uint8)

    monkeypatch.setattr("daemon.system.backoff.Backoff.next", lambda _: 0.01)
    with capturing(video, loop=True, memory=FrameMemory(allocate=allocate)) as captured:
        status = captured.wait_for_state(CameraState.CONNECTING, Reason.NO_RESOURCES)
        captured.wait_for_frames(5)
    assert "out of page-locked memory" in status.detail


@pytest.mark.parametrize("kind", ["\xa0", "", "\x0b", "Digest algorithm=MD4", "Negotiate", ", ,", "Basic"])
def test_any_challenge_of_a_server_has_a_reason(kind: str) -> None:
    def refuse(_: int) -> Iterator[bytes]:
        fields = f"WWW-Authenticate: {kind}", "Content-Length: 0"
        yield head("", *fields, status="401 No").decode().encode("latin-1")

    with QuirkyHttp(refuse) as server, capturing(server.url(), user="gate", password="s3cret") as captured:
        wanted = Reason.UNAUTHORIZED if kind == "Basic" else Reason.UNSUPPORTED
        status = captured.wait_for_state(CameraState.OFFLINE, wanted)
    assert "()" not in status.detail

"""Capture from real servers that stream, refuse, fall silent, die and come back."""

from __future__ import annotations

import random
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import cv2
import pytest

from daemon.capture.sources.rtsp_probe import probe
from daemon.records import CameraState, Drop, Reason
from tests.daemon.capturing import capturing, pictures, write_video
from tests.servers.mjpeg import MjpegServer
from tests.servers.proxy import Proxy
from tests.servers.rtsp import RtspServer, need_rtsp

ROOT = Path(__file__).resolve().parents[2]
USER, PASSWORD = "gate", "s3cret"


@pytest.fixture(scope="module")
def rtsp() -> Iterator[RtspServer]:
    need_rtsp()
    with RtspServer(fps=25) as server:
        yield server


@pytest.fixture(scope="module", params=["basic", "digest"])
def rtsp_with_password(request: pytest.FixtureRequest) -> Iterator[RtspServer]:
    need_rtsp()
    with RtspServer(user=USER, password=PASSWORD, auth=request.param) as server:
        yield server


@pytest.fixture(scope="module")
def mjpeg() -> Iterator[MjpegServer]:
    with MjpegServer(_jpegs(), fps=20.0) as server:
        yield server


@pytest.fixture(scope="module")
def mjpeg_with_password() -> Iterator[MjpegServer]:
    with MjpegServer(_jpegs(), fps=20.0, credentials=f"{USER}:{PASSWORD}") as server:
        yield server


@pytest.fixture
def black_hole() -> Iterator[int]:
    """Port of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def _jpegs() -> list[bytes]:
    return [cv2.imencode(".jpg", image)[1].tobytes() for image in pictures(10, 160, 120)]


def _closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_the_first_rtsp_frame_is_not_a_buffered_one(rtsp: RtspServer) -> None:
    """FFmpeg collects a second of frames before OpenCV gives the first one."""
    with capturing(rtsp.url()) as captured:
        captured.wait_for_frames(30)
    frames = captured.frames[:30]
    assert all(frame.image.host().shape == (240, 320, 3) and frame.live for frame in frames)
    first = frames[0].sequence  # those before were held back
    assert [frame.sequence for frame in frames] == list(range(first, first + 30))
    assert captured.dropped(Drop.HELD_BACK) == first - 1
    ages = [frame.captured_mono - frame.stream_time for frame in frames if frame.stream_time is not None]
    assert len(ages) == 30
    assert ages[0] == pytest.approx(statistics.median(ages), abs=0.2)
    assert captured.states() == [(CameraState.CONNECTING, None), (CameraState.STREAMING, None)]


def test_rtsp_of_a_file_goes_on_after_its_end(tmp_path: Path) -> None:
    need_rtsp()
    video = write_video(tmp_path / "video.avi", pictures(10, 176, 144))
    with RtspServer(video=video) as server, capturing(server.url()) as captured:
        captured.wait_for_frames(40)
    assert captured.frames[0].image.host().shape == (144, 176, 3)
    assert captured.states() == [(CameraState.CONNECTING, None), (CameraState.STREAMING, None)]


@pytest.mark.usefixtures("decoder")
def test_a_camera_reconnects_after_its_server_was_killed() -> None:
    need_rtsp()
    with RtspServer() as server:
        with capturing(server.url()) as captured:
            captured.wait_for_frames(5)
            server.kill()
            captured.wait_for_state(CameraState.CONNECTING, Reason.ENDED)
            offline = captured.wait_for_state(CameraState.OFFLINE, Reason.REFUSED)
            reported, delivered = len(captured.statuses), len(captured.frames)
            with RtspServer(server.port):
                captured.wait_for_state(CameraState.STREAMING, after=reported)
                captured.wait_for_frames(delivered + 5)
        assert (
            offline.detail == f"127.0.0.1:{server.port} refuses connections; check the port and the camera's settings"
        )
        sequences = [frame.sequence for frame in captured.frames]
        assert sequences == sorted(set(sequences))
        assert sequences[-1] == len(sequences) + captured.dropped(Drop.HELD_BACK)
        assert captured.statuses[4].since > offline.since
        assert captured.states()[2:5] == [
            (CameraState.CONNECTING, Reason.ENDED),
            (CameraState.OFFLINE, Reason.REFUSED),
            (CameraState.STREAMING, None),
        ]
        assert captured.stats.report(("cam",)).cameras["cam"].connections == 2


@pytest.mark.usefixtures("decoder")
def test_a_silent_camera_is_stalled_and_reconnected() -> None:
    need_rtsp()
    with RtspServer() as server, capturing(server.url(), stall_after=1.0, open_timeout=4.0) as captured:
        captured.wait_for_frames(5)
        server.signal(signal.SIGSTOP)
        status = captured.wait_for_state(CameraState.STALLED, Reason.TIMEOUT)
        assert status.detail == "no frame for 1 s"
        reported = len(captured.statuses)
        server.signal(signal.SIGCONT)
        captured.wait_for_state(CameraState.STREAMING, after=reported)


def test_frames_delayed_by_the_network_are_dropped() -> None:
    """What comes at once after a silence that was no stall was filmed during it."""
    need_rtsp()
    with (
        RtspServer(fps=25) as server,
        closing(Proxy(server.port, random.Random(1))) as proxy,
        capturing(f"rtsp://127.0.0.1:{proxy.port}/stream", stall_after=10) as captured,
    ):
        captured.wait_for_frames(25)
        proxy.silent = True
        time.sleep(1.5)  # what the network does, not what is waited for
        proxy.silent = False
        captured.wait_for_frames(len(captured.frames) + 40)
    ages = [frame.captured_mono - frame.stream_time for frame in captured.frames if frame.stream_time is not None]
    assert max(ages) - statistics.median(ages) < 1.0  # they would be 1.5 late
    assert captured.states() == [(CameraState.CONNECTING, None), (CameraState.STREAMING, None)]


@pytest.mark.parametrize(
    ("credentials", "path", "reason", "detail"),
    [
        (
            "",
            "stream",
            Reason.UNAUTHORIZED,
            "{server} asks for a user and password; give them as `user` and `password` of the camera",
        ),
        (
            f"{USER}:wr0ng",
            "stream",
            Reason.UNAUTHORIZED,
            "{server} does not accept the user and password of the source",
        ),
        (f"{USER}:{PASSWORD}", "other", Reason.NOT_FOUND, "{server} has no such stream; check the path of the source"),
    ],
)
@pytest.mark.usefixtures("decoder")
def test_rtsp_refusals_have_a_reason(
    rtsp_with_password: RtspServer,
    credentials: str,
    path: str,
    reason: Reason,
    detail: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with capturing(rtsp_with_password.url(credentials, path)) as captured:
        status = captured.wait_for_state(CameraState.OFFLINE, reason)
    assert status.detail == detail.format(server=f"127.0.0.1:{rtsp_with_password.port}")
    _no_secrets(caplog, capfd, status.detail)


def test_the_probe_logs_in(rtsp_with_password: RtspServer) -> None:
    assert probe(rtsp_with_password.url(f"{USER}:{PASSWORD}"), 3.0) is None


@pytest.mark.usefixtures("decoder")
def test_rtsp_with_the_right_password_streams(
    rtsp_with_password: RtspServer, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with capturing(rtsp_with_password.url(f"{USER}:{PASSWORD}")) as captured:
        captured.wait_for_frames(3)
    _no_secrets(caplog, capfd)


@pytest.mark.parametrize(
    ("scheme", "decoder"),
    [*((scheme, "opencv") for scheme in ("rtsp", "rtsps", "http", "https")), ("rtsp", "pyav"), ("rtsps", "pyav")],
    indirect=["decoder"],
)
def test_a_closed_port_refuses(
    scheme: str, decoder: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with capturing(f"{scheme}://{USER}:{PASSWORD}@127.0.0.1:{_closed_port()}/stream?token={PASSWORD}") as captured:
        status = captured.wait_for_state(CameraState.OFFLINE, Reason.REFUSED)
    _no_secrets(caplog, capfd, status.detail)


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_name_that_cannot_be_resolved_has_a_reason(
    scheme: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with capturing(f"{scheme}://{USER}:{PASSWORD}@camera.invalid/stream") as captured:
        status = captured.wait_for_state(CameraState.OFFLINE, Reason.UNREACHABLE)
    assert status.detail == "the name camera.invalid cannot be resolved; check it and the DNS"
    _no_secrets(caplog, capfd, status.detail)


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
@pytest.mark.usefixtures("decoder")
def test_a_server_that_never_answers_is_a_timeout(scheme: str, black_hole: int) -> None:
    with capturing(f"{scheme}://127.0.0.1:{black_hole}/stream", open_timeout=0.5) as captured:
        status = captured.wait_for_state(CameraState.OFFLINE, Reason.TIMEOUT)
    assert status.detail == f"127.0.0.1:{black_hole} does not answer"


def test_a_process_ends_while_its_camera_hangs_in_opening(black_hole: int) -> None:
    """OpenCV cannot be interrupted there: the thread is left behind and must not hold up or break the exit."""
    program = f"""
import time
from daemon.capture.camera import CameraThread
from daemon.config.camera import Camera
from daemon.stats import Stats
camera = Camera(source="rtsp://127.0.0.1:{black_hole}/stream", open_timeout=60)
thread = CameraThread("cam", camera, print, lambda status: print(status.state.value), Stats(), print)
thread.start()
time.sleep(0.5)  # into the open call, which nothing shows from outside
began = time.monotonic()
thread.stop()
assert time.monotonic() - began < 0.1
print(thread.join(0.5), flush=True)
"""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "connecting\nFalse\n", "")
    assert time.monotonic() - began < 15


def test_mjpeg_streams(mjpeg: MjpegServer) -> None:
    with capturing(mjpeg.url()) as captured:
        captured.wait_for_frames(10)
    frames = captured.frames[:10]
    assert all(frame.image.host().shape == (120, 160, 3) and frame.live for frame in frames)
    assert {frame.stream_time for frame in frames} == {None}
    assert frames[-1].captured_mono - frames[0].captured_mono == pytest.approx(9 / 20, abs=0.2)


@pytest.mark.parametrize(
    ("path", "reason"), [("other", Reason.NOT_FOUND), ("page", Reason.NO_VIDEO)], ids=["404", "page"]
)
def test_http_without_video_has_a_reason(mjpeg: MjpegServer, path: str, reason: Reason) -> None:
    with capturing(mjpeg.url(path=path)) as captured:
        captured.wait_for_state(CameraState.OFFLINE, reason)


def test_mjpeg_with_a_password(
    mjpeg_with_password: MjpegServer, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    for credentials in ("", f"{USER}:wr0ng"):
        with capturing(mjpeg_with_password.url(credentials)) as captured:
            status = captured.wait_for_state(CameraState.OFFLINE, Reason.UNAUTHORIZED)
            _no_secrets(caplog, capfd, status.detail)
    with capturing(mjpeg_with_password.url(f"{USER}:{PASSWORD}")) as captured:
        captured.wait_for_frames(3)
    with capturing(mjpeg_with_password.url(f"{USER}:{PASSWORD}", "other")) as captured:
        captured.wait_for_state(CameraState.OFFLINE, Reason.NOT_FOUND)
    _no_secrets(caplog, capfd)


def _no_secrets(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], detail: str = "") -> None:
    """Nor anything of OpenCV's own on standard output and standard error."""
    assert tuple(capfd.readouterr()) == ("", "")
    everything = "\n".join([*caplog.messages, detail])
    assert not any(secret in everything for secret in (PASSWORD, "wr0ng", f"{USER}@", f"{USER}:"))

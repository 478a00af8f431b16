"""Calls that cannot be interrupted: they are reported, delay nothing else, and the camera goes on when they return."""

from __future__ import annotations

import fcntl
import itertools
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from daemon.capture.camera import CameraThread
from daemon.capture.hang_monitor import HangMonitor
from daemon.capture.sources.video_file import VideoFile
from daemon.config.camera import Camera
from daemon.records import CameraState, Reason
from engines.pictures import Image, Picture
from tests.conftest import ROOT, missing
from tests.daemon.capturing import Captured, capture_threads, capturing, pictures, write_video
from tests.servers.silent_rtsp import SilentRtsp

A_MEBIBYTE = 1 << 20


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A named pipe: reading from it waits for a writer as long as one is awaited, as a hung driver would."""
    path = tmp_path / "camera.avi"
    os.mkfifo(path)
    return path


@pytest.fixture
def film(tmp_path: Path) -> tuple[bytes, bytes]:
    """A video of a second in two parts: most of it, and the rest."""
    content = write_video(tmp_path / "film.avi", pictures(100, 160, 120), fps=100.0).read_bytes()
    return content[: len(content) * 8 // 10], content[len(content) * 8 // 10 :]


@contextmanager
def watched(source: Path | str, **settings: float) -> Iterator[tuple[Captured, CameraThread]]:
    """The camera `cam` with a hang monitor, stopped but not awaited at the end."""
    captured = Captured(keep_images=False, consume=None)
    reports = captured.deliver, captured.statuses.append, captured.stats, captured.failures.append
    camera = CameraThread("cam", Camera.model_validate({"source": str(source), **settings}), *reports)
    monitor = HangMonitor(captured.failures.append)
    monitor.add(camera)
    camera.start()
    monitor.start()
    try:
        yield captured, camera
    finally:
        camera.stop()
        monitor.stop()
        assert monitor.join(10)
    assert captured.failures == []


@pytest.mark.usefixtures("decoder")
def test_opening_that_hangs_is_offline_until_the_call_returns(pipe: Path, film: tuple[bytes, bytes]) -> None:
    with watched(pipe, open_timeout=0.2, stall_after=5) as (captured, camera):
        status = captured.wait_for_state(CameraState.OFFLINE, Reason.TIMEOUT)
        assert status.detail == "opening hangs for longer than 0.4 s, in the driver, the network or the file system"
        assert capture_threads() == ["capture:cam"]
        with _writer(pipe) as write:
            write(film[0])
            captured.wait_for_state(CameraState.STREAMING)
            captured.wait_for_frames(3)
    assert camera.join(5.0)


@pytest.mark.usefixtures("decoder")
def test_reading_that_hangs_is_stalled_and_continues(pipe: Path, film: tuple[bytes, bytes]) -> None:
    with _writer(pipe) as write, watched(pipe, stall_after=0.3) as (captured, camera):
        write(film[0])
        captured.wait_for_state(CameraState.STREAMING)
        status = captured.wait_for_state(CameraState.STALLED, Reason.TIMEOUT)
        assert status.detail == "no frame for 0.3 s"
        reported, delivered = len(captured.statuses), len(captured.frames)
        write(film[1])
        captured.wait_for_state(CameraState.STREAMING, after=reported)
        captured.wait_for_frames(delivered + 5)
    assert camera.join(5.0)


def test_converting_that_hangs_is_stalled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As the driver of a hardware decoder may."""
    converting, returns = VideoFile.retrieve, threading.Event()

    def retrieve(source: VideoFile, into: Image | None) -> Picture:
        if source.stream_time:  # not the first one
            returns.wait()
        return converting(source, into)

    monkeypatch.setattr(VideoFile, "retrieve", retrieve)
    with watched(write_video(tmp_path / "video.avi", pictures(5)), stall_after=0.3) as (captured, camera):
        captured.wait_for_state(CameraState.STALLED, Reason.TIMEOUT)
        returns.set()
        captured.wait_for_frames(5)
    assert camera.join(5.0)


@pytest.mark.usefixtures("decoder")
def test_reading_on_to_a_late_start_is_not_hanging(pipe: Path, film: tuple[bytes, bytes]) -> None:
    """A source that cannot seek is read up to `start`; together that takes longer than opening may."""
    early, late = film[0][: len(film[0]) // 2], film[0][len(film[0]) // 2 :]
    with _writer(pipe) as write, watched(pipe, open_timeout=1.0, start=0.7) as (captured, camera):
        write(early)
        for begin in range(0, len(late), len(late) // 30):
            time.sleep(0.1)  # a slow disk, not a wait for anything
            write(late[begin : begin + len(late) // 30])
        captured.wait_for_state(CameraState.STREAMING)
    assert captured.states() == [(CameraState.CONNECTING, None), (CameraState.STREAMING, None)]
    assert camera.join(5.0)


@pytest.mark.usefixtures("decoder")
def test_a_stream_without_a_first_frame_is_not_a_hanging_driver() -> None:
    """OpenCV waits for the frame beyond `open_timeout`; what is reported is that none came."""
    with SilentRtsp() as server, watched(server.url, open_timeout=0.5, stall_after=2) as (captured, camera):
        status = captured.wait_for_state(CameraState.OFFLINE, Reason.TIMEOUT)
        assert "no frame within 0.5 s" in status.detail
    assert camera.join(10.0)


@pytest.mark.usefixtures("decoder")
def test_a_hung_camera_reports_nothing_after_stop(pipe: Path, film: tuple[bytes, bytes]) -> None:
    with watched(pipe) as (captured, camera):
        captured.wait_for_state(CameraState.CONNECTING)
        camera.stop()
        assert not camera.join(0.2)
    with _writer(pipe) as write:
        write(film[0])
        assert camera.join(10.0)
    assert captured.states() == [(CameraState.CONNECTING, None)]
    assert captured.frames == []


@pytest.mark.usefixtures("decoder")
def test_a_camera_that_hangs_does_not_delay_another(pipe: Path, film: tuple[bytes, bytes], tmp_path: Path) -> None:
    """The bound leaves room for a busy machine; tests/benchmarks/isolation.py measures the real delay."""
    video = write_video(tmp_path / "other.avi", pictures(25))
    with capturing(video, loop=True) as other, watched(pipe, open_timeout=0.5) as (hung, camera):
        other.wait_for_frames(1)
        hung.wait_for_state(CameraState.OFFLINE, Reason.TIMEOUT)
        other.wait_for_frames(40)
    times = [frame.captured_mono for frame in other.frames]
    assert max(b - a for a, b in itertools.pairwise(times)) < 0.5
    with _writer(pipe) as write:
        write(film[0])
        assert camera.join(10.0)


@pytest.mark.parametrize(
    ("scheme", "decoder"),
    [*((scheme, "opencv") for scheme in ("rtsp", "rtsps", "http", "https")), ("rtsp", "pyav")],
    indirect=["decoder"],
)
def test_opening_one_camera_does_not_wait_for_another(scheme: str, decoder: str, tmp_path: Path) -> None:
    """OpenCV's own lock would open one after the other."""
    video = write_video(tmp_path / "video.avi", pictures(3))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/x"
        with capturing(url, open_timeout=2.0) as hung, silent.accept()[0]:  # OpenCV is in its call now
            began = time.monotonic()
            with capturing(video) as other:
                other.wait_for_frames(1)
            assert time.monotonic() - began < 1.0
            silent.settimeout(1.0)
            with capturing(url, open_timeout=2.0), silent.accept()[0]:
                pass
        assert hung.frames == []


def test_a_silent_name_server_is_reported_in_time(tmp_path: Path) -> None:
    """In a network and mount namespace of its own, with a name server that takes questions only."""
    if os.geteuid() or not shutil.which("unshare") or not shutil.which("ip"):
        missing("a network namespace", "run as root, with util-linux and iproute2")
    shell = """
ip link set lo up && printf 'nameserver 127.0.0.1\\noptions timeout:4 attempts:1\\n' > "$1" || exit 99
mount --bind "$1" /etc/resolv.conf && exec "$2" -m tests.daemon.unanswered
"""
    inside = ["sh", "-c", shell, "sh", str(tmp_path / "resolv.conf"), sys.executable]
    command = ["unshare", "--mount", "--net", *inside]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=60)
    if "unshare" in done.stderr or done.returncode == 99:
        missing("a network namespace", done.stderr)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "the DNS does not answer when asked for camera.example; check the DNS"
    assert float(lines[1]) < 2.0
    assert lines[2:] == ["connecting", "offline (timeout)", "offline (unreachable)", "stopped"]


@contextmanager
def _writer(pipe: Path) -> Iterator[Callable[[bytes], object]]:
    """Writes into the pipe, which stays open until the end."""
    file = os.open(pipe, os.O_RDWR)
    fcntl.fcntl(file, fcntl.F_SETPIPE_SZ, A_MEBIBYTE)
    try:
        yield lambda part: os.write(file, part)
    finally:
        os.close(file)

"""`ospreyd probe`: real servers and files, and every way in which a source gives nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.image_file import read_image
from tests.daemon.capturing import pictures, read_video, write_video
from tests.servers.mjpeg import MjpegServer
from tests.servers.rtsp import RtspServer, need_rtsp
from tests.test_cli import ospreyd


@pytest.fixture(scope="module")
def rtsp() -> Iterator[RtspServer]:
    need_rtsp()
    with RtspServer(user="gate", password="s3cret", size="320x240", fps=20) as server:
        yield server


def test_a_camera(rtsp: RtspServer, tmp_path: Path) -> None:
    done = ospreyd("probe", rtsp.url("gate:s3cret"), "--json", "--seconds", "1", "--save", tmp_path / "first.png")
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert report.pop("measured_fps") == pytest.approx(20, rel=0.1)
    assert 0 < report.pop("first_frame") < 10
    assert report == {
        "source": rtsp.url(),
        "width": 320,
        "height": 240,
        "backend": "FFMPEG",
        "codec": "h264",
        "fps": 20.0,
        "duration": None,
        "hw_acceleration": "none",
        "fallback": None,
    }
    assert read_image(tmp_path / "first.png").shape == (240, 320, 3)


def test_an_mjpeg_stream_has_no_rate_but_the_one_that_is_measured() -> None:
    with MjpegServer([cv2.imencode(".jpg", image)[1].tobytes() for image in pictures(5)], fps=20.0) as server:
        done = ospreyd("probe", server.url(), "--json", "--seconds", "1")
    report = json.loads(done.stdout)
    assert report["measured_fps"] == pytest.approx(20, rel=0.1)
    assert (report["codec"], report["width"], report["height"]) == ("MJPG", 64, 48)


def test_a_file(tmp_path: Path) -> None:
    video = write_video(tmp_path / "video.avi", pictures(50))
    done = ospreyd("probe", video, "--save", tmp_path / "first.png")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[:6] == [
        str(video),
        "  picture      64x48",
        "  rate         25 frames/s announced",
        "  length       2.0 s",
        "  codec        MJPG",
        "  backend      FFMPEG, decoded by the CPU",
    ]
    assert lines[6].startswith("  first frame  after 0.")
    assert np.array_equal(read_image(tmp_path / "first.png"), read_video(video)[0])


def test_a_folder_of_pictures(tmp_path: Path) -> None:
    for name in ("a", "b"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), pictures(1)[0])
    report = json.loads(ospreyd("probe", tmp_path, "--json").stdout)
    assert (report["width"], report["height"], report["codec"], report["backend"]) == (64, 48, None, "PICTURES")
    assert report["duration"] == 2.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.mp4"], "none.mp4: not-found: none.mp4 does not exist"),
        (["ftp://u:s3cret@h/1"], "the source: a URL must begin with rtsp://, rtsps://, http:// or https://"),
        (["a.mp4", "--transport", "udp"], "--transport: is for RTSP, which this camera's source is not"),
        (["rtsp://h/1", "--transport", "rtp"], "--transport: must be one of tcp, udp"),
        (
            ["a.mp4", "--hw-acceleration", "cuda"],
            "--hw-acceleration: must be one of auto, none, nvdec, any, vaapi, mfx",
        ),
    ],
)
def test_mistakes(arguments: list[str], message: str, tmp_path: Path) -> None:
    done = ospreyd("probe", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"ospreyd: {message}\n")


def test_pictures_that_cannot_be_saved(tmp_path: Path) -> None:
    video = write_video(tmp_path / "video.avi", pictures(1))
    done = ospreyd("probe", video, "--save", "first.xyz")
    ending = "has no ending of a picture format, such as .jpg or .png"
    assert (done.returncode, done.stderr) == (2, f"ospreyd: --save: first.xyz {ending}\n")
    done = ospreyd("probe", video, "--save", tmp_path / "no" / "first.png")
    assert done.stderr == f"ospreyd: --save: {tmp_path}/no/first.png cannot be written: No such file or directory\n"


def test_a_camera_that_refuses_says_so_without_its_password(rtsp: RtspServer) -> None:
    done = ospreyd("probe", rtsp.url("gate:wr0ng"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"ospreyd: {rtsp.url()}: unauthorized: ")
    done = ospreyd("probe", rtsp.url("gate:wr0ng"), "--json")
    assert (done.returncode, done.stderr) == (2, "")
    report = json.loads(done.stdout)
    assert (report["source"], report["reason"]) == (rtsp.url(), "unauthorized")
    assert "wr0ng" not in done.stdout


def test_zones_and_lines_are_drawn_where_they_are(tmp_path: Path) -> None:
    """A picture that is all black: where it no longer is, is a zone, or a line with its arrow to the side of in."""
    folder = tmp_path / "black"
    folder.mkdir()
    cv2.imwrite(str(folder / "1.png"), np.zeros((400, 800, 3), np.uint8))
    file = tmp_path / "gate.yaml"
    file.write_text(
        "device: gate\nmqtt: {host: localhost}\ntracking: {}\ncameras:\n"
        f"  front:\n    source: {folder}\n    crop: [0.5, 0, 1, 1]\n"
        "    zones: {porch: {polygon: [[0.5, 0.5], [0.75, 0.5], [0.75, 1], [0.5, 1]]}}\n"
        "    lines: {gate: {points: [[0.9, 0.2], [0.9, 0.8]], in: [1, 0.5]}}\n"
    )
    picture = tmp_path / "front.png"
    done = ospreyd("probe", "front", "--config", file, "--save", picture)
    assert (done.returncode, done.stderr) == (0, "")
    drawn = read_image(picture).any(axis=2)
    assert drawn.shape == (400, 400)
    assert drawn[210:390, 10:190].all()
    assert not drawn[10:150, 10:190].any()
    assert drawn[250, 316:324].any()  # the line, at 0.8 of what is left of the picture
    assert drawn[198:202, 330:345].any()  # its arrow
    assert not drawn[195:205, 290:310].any()
    done = ospreyd("probe", "back", "--config", file)
    assert (done.returncode, "(it has: front)" in done.stderr) == (2, True)

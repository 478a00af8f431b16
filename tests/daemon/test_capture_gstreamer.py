"""GStreamer pipelines, with an OpenCV that has GStreamer: Debian's, as on a Jetson."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daemon.demo.film import Shot, film
from tests.conftest import ROOT, missing
from tests.daemon.capturing import pictures, write_video
from tests.daemon.running import box, daemon, detections_of, has, state_of, stop
from tests.servers.mosquitto import Mosquitto
from tests.servers.rtsp import RtspServer, need_rtsp
from tests.servers.subscriber import Subscriber

SYSTEM_OPENCV = ROOT / ".venv" / "system-opencv"
"""Debian's OpenCV, and a NumPy that it was compiled for"""
PROGRAM = "tests.daemon.gstreamer_program"
GREY, YELLOW, CYAN, GREEN = (191, 191, 191), (0, 191, 191), (191, 191, 0), (0, 191, 0)
MAGENTA, RED, BLUE = (191, 0, 191), (0, 0, 191), (191, 0, 0)
BARS = [GREY, YELLOW, CYAN, GREEN, MAGENTA, RED, BLUE]
"""BGR; BT.601 taken for BT.709, or U for V, is 15 and more beside"""
TEST_PICTURE = "videotestsrc pattern=smpte75 ! video/x-raw,framerate=100/1,"


@pytest.fixture(autouse=True)
def _an_opencv_with_gstreamer(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the processes that a test starts."""
    monkeypatch.setenv("PYTHONPATH", f"{SYSTEM_OPENCV}:{ROOT}")
    tried = "import cv2; raise SystemExit(not cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER))"
    if subprocess.run([sys.executable, "-c", tried], check=False, capture_output=True).returncode:
        missing("an OpenCV with GStreamer for this Python", "apt-get install -y python3-opencv && make test")


def test_a_picture_has_its_colours() -> None:
    sizes = {
        "width=640,height=480,format=I420 ! videoconvert ! video/x-raw,format=BGR ! appsink drop=true": [640, 480],
        "width=642,height=482 ! videoconvert ! video/x-raw, format=(string)NV12 ! appsink drop=true": [642, 482],
        "width=1280,height=720,format=NV12 ! appsink": [1280, 720],
        "width=1280,height=720,format=NV12,colorimetry=bt601 ! appsink": [1280, 720],
        "width=640,height=480,colorimetry=bt709,format=NV12 ! appsink": [640, 480],
    }
    seen = _look(*(TEST_PICTURE + pipeline for pipeline in sizes))
    assert [one["size"] for one in seen] == list(sizes.values())
    for pipeline, one in zip(sizes, seen, strict=True):
        assert np.abs(np.array(one["bars"]) - BARS).max() <= 4, (pipeline, one["bars"])


def test_what_cannot_be_converted_is_refused() -> None:
    """OpenCV gives all kinds of YUV 4:2:0 in one shape: one taken for another would be a picture in wrong colours."""
    formats = ("I420 ! appsink", "GRAY8 ! appsink", "BGRx ! appsink", "NV12 ! queue ! appsink")
    others = ("NV12,colorimetry=bt2020 ! appsink", "NV12,width=321 ! appsink", "NV12,height=241 ! appsink")
    seen = _look(*(f"{TEST_PICTURE}format={ending}" for ending in (*formats, *others)))
    assert [one.get("reason") for one in seen] == ["unsupported"] * 7, seen


def test_a_file_gives_each_picture_and_a_mistake_its_reason(tmp_path: Path) -> None:
    video = write_video(tmp_path / "film.avi", pictures(12, 320, 240))
    ending = "decodebin ! videoconvert ! video/x-raw,format=BGR ! appsink sync=false"
    seen, *mistakes = _look(
        f"filesrc location={video} ! {ending}",
        f"filesrc location={tmp_path}/none.avi ! {ending}",
        "nosuchelement ! appsink",
    )
    assert (seen["size"], seen["count"]) == ([320, 240], 12)
    assert [one["reason"] for one in mistakes] == ["no-video"] * 2


def test_a_camera_comes_back_and_the_daemon_stays(broker: Mosquitto, subscriber: Subscriber, tmp_path: Path) -> None:
    """An OpenCV of this age ends the process if it opens an RTSP camera that is away; it reads files as any other."""
    need_rtsp()
    film(Shot("street", 320, 240, 10.0, seed=21), tmp_path / "street.mp4", 2.0)
    with RtspServer(fps=25) as server:
        ending = "decodebin ! videoconvert ! video/x-raw,format=NV12 ! appsink drop=true max-buffers=1 sync=false"
        slow = {"open_timeout": 60}  # a process that imports OpenCV comes first
        cameras = {
            "rtsp": {"source": f"rtspsrc location={server.url()} protocols=tcp latency=100 ! {ending}", **slow},
            "test": {"source": f"{TEST_PICTURE}width=320,height=240,format=NV12 ! appsink", "fps": 10, **slow},
            "film": {"source": str(tmp_path / "street.mp4"), "loop": True, "fps": 5},
        }
        with daemon(tmp_path, box(broker, cameras)) as process:
            for camera in cameras:
                subscriber.wait(partial(has, 3, camera), f"detections of {camera}", 60)
            assert any(message["objects"] for message in detections_of(subscriber, "film"))
            server.kill()
            subscriber.wait(lambda m: state_of(m, "rtsp")["state"] == "offline", "the loss", 60)
            assert state_of(subscriber.messages(), "rtsp")["reason"] == "no-video"
            with RtspServer(port=server.port, fps=25):
                subscriber.wait(lambda m: state_of(m, "rtsp")["state"] == "streaming", "its return", 60)
                assert state_of(subscriber.messages(), "test")["state"] == "streaming"
                stop(process)


def _look(*pipelines: str) -> list[dict[str, Any]]:
    """What the pipelines give; see gstreamer_program."""
    command = [sys.executable, "-m", PROGRAM, json.dumps(pipelines)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert isinstance(seen, list)
    return seen

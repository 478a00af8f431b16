"""install.sh --jetson on a Debian: the system's OpenCV, GStreamer in the service's sandbox; no CUDA or TensorRT."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT
from tests.daemon.running import has
from tests.servers.mosquitto import HOST, Mosquitto
from tests.servers.subscriber import Subscriber
from tests.systemd.box import DEBIAN_ROOT, Box
from tests.systemd.installed import CONFIGURATION, install
from tests.systemd.wheels import dependencies, project, stand_in

pytestmark = [pytest.mark.systemd, pytest.mark.timeout(1200)]

CUDA = "13.0"
"""of JetPack 7"""
OF_JETPACK = ("numpy<2", "opencv-python<4.12", f"cuda-bindings~={CUDA}.0")
NV12 = "videotestsrc ! video/x-raw,width=320,height=240,framerate=10/1,format=NV12 ! appsink drop=true max-buffers=1"


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """This project's, in a folder of its own."""
    return project(tmp_path / "wheels")


@pytest.fixture
def debian(wheel: Path, tmp_path: Path) -> Iterator[Box]:
    """With Debian's OpenCV, as JetPack has Ubuntu's or NVIDIA's."""
    cache = Path(os.environ.get(DEBIAN_ROOT, tmp_path)).parent
    packages = dependencies(cache, wheel, "", *OF_JETPACK)
    stand_in(packages, "pycuda", "2025.1")  # which is compiled where there is CUDA
    binds = {
        "/source/systemd": ROOT / "systemd",
        "/source/configs": ROOT / "configs",
        "/wheels": wheel.parent,
        "/dependencies": packages,
    }
    with Box(tmp_path, binds) as running:
        running.must("apt-get", "update", "-qq")
        opencv = ("python3-opencv", "gstreamer1.0-plugins-base")
        running.must("apt-get", "install", "-qq", "--yes", "--no-install-recommends", *opencv, timeout=400)
        yield running


def test_the_service_runs_a_pipeline_of_the_systems_opencv(debian: Box, wheel: Path, broker: Mosquitto) -> None:
    status, said = install(debian, wheel, wheel.parent, "--jetson")
    assert (status, "there is no CUDA in /usr/local/cuda" in said) == (1, True), said
    debian.must("mkdir", "--parents", "/usr/local/cuda")
    debian.file("/usr/local/cuda/version.json").write_text(json.dumps({"cuda": {"version": f"{CUDA}.2"}}))
    status, said = install(debian, wheel, wheel.parent, "--jetson")
    assert status == 0, said
    versions = "import cv2, numpy; print(cv2.__file__, numpy.__version__)"
    opencv, numpy = debian.must("/opt/ospreyd/current/bin/python", "-c", versions).split()
    assert opencv.startswith("/usr/lib/python3/"), opencv
    assert int(numpy.split(".")[0]) < 2
    configuration = {
        "device": "box",
        "mqtt": {"host": HOST, "port": broker.port},
        "models": {"default": "street"},
        "inference": {"backend": "onnxruntime", "threads": 1},
        "cameras": {"test": {"source": NV12}},
    }
    debian.file(CONFIGURATION).write_text(yaml.safe_dump(configuration))
    debian.must("systemctl", "start", "ospreyd")
    with Subscriber(HOST, broker.port) as subscriber:
        subscriber.wait(partial(has, 5, "test"), "detections", 60)

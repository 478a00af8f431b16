"""What tests/benchmarks/streams.py says, of one stream."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.demo.street.generator import StreetScene
from tests.servers.mosquitto import need_mosquitto

av = pytest.importorskip("av")
ROOT = Path(__file__).parents[2]


def h264(clip: Path, frames: int, fps: int) -> None:
    """The drawn street as cameras code it."""
    with av.open(str(clip), "w") as container:
        stream = container.add_stream("libx264", fps, {"preset": "ultrafast", "tune": "zerolatency"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        scene = StreetScene(320, 240, seed=3)
        for index in range(frames):
            picture = av.VideoFrame.from_ndarray(scene.render(index / fps)[0], "bgr24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def test_it_counts_what_a_subscriber_gets_of_an_rtsp_stream_that_reconnects(tmp_path: Path) -> None:
    need_mosquitto()
    clip, report = tmp_path / "street.mp4", tmp_path / "report.json"
    h264(clip, 15, 5)
    command = [sys.executable, "-m", "tests.benchmarks.streams", str(clip), "--streams", "1", "--hw", "none", "--rtsp"]
    more = ["--reconnects", "2", "--seconds", "2", "--warm-up", "0.2", "--listeners", "1", "--json", str(report)]
    done = subprocess.run([*command, *more], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    (run,) = json.loads(report.read_text())["runs"]
    assert run["given_fps"] == 5
    assert 0 < run["received_fps"] <= 7.5
    assert run["lost_by_broker"] == 0
    assert run["capture_to_publish_ms"]["p50"] <= run["capture_to_received_ms"]["p99"]
    assert run["daemon"]["threads"] > 1
    assert run["reconnects"]["times"] == len(run["reconnects"]["samples"]) == 2

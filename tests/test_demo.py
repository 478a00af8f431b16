"""The demonstration from end to end: film, daemon, broker, subscriber, score."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from daemon.demo.film import SHOTS
from daemon.demo.score import Score, Seen, score
from daemon.demo.street.generator import Truth
from engines.image_file import read_image
from tests.servers.mosquitto import Mosquitto


def demo(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "daemon", "demo", "--seconds", "3", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def check(summary: dict[str, Any]) -> None:
    """Both cameras were seen by the subscriber, and what was published is where it was drawn."""
    assert set(summary["cameras"]) == {shot.camera for shot in SHOTS}
    assert all(camera["messages"] > 10 for camera in summary["cameras"].values())
    assert summary["recall"] >= 0.85
    assert summary["precision"] >= 0.85
    assert summary["idf1"] >= 0.7
    for told in (summary["crossings"], summary["entries"]):
        assert told["true"] > 0
        assert 0.5 * told["true"] - 1 <= told["told"] <= 1.5 * told["true"] + 1
    for shot in SHOTS:
        assert read_image(Path(summary["pictures"][shot.camera])).shape == (shot.height, shot.width, 3)
    lines = [json.loads(line) for line in Path(summary["messages"]).read_text().splitlines()]
    assert {line["topic"] for line in lines} >= {f"ospreyd/demo/{shot.camera}/detections" for shot in SHOTS}


def test_on_the_embedded_broker(tmp_path: Path) -> None:
    done = demo("--json", "--output", tmp_path)
    assert done.returncode == 0, done.stderr
    check(json.loads(done.stdout))
    assert "web page (the link logs in once): http://127.0.0.1:" in done.stderr.replace("\n", " ")
    assert "Traceback" not in (tmp_path / "web.log").read_text()


def test_on_a_broker_that_is_there(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        done = demo("--output", tmp_path / "out", "--json", "--broker", f"127.0.0.1:{broker.port}")
    assert done.returncode == 0, done.stderr
    check(json.loads(done.stdout))


def test_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = demo("--output", tmp_path, "--port", str(port))
    assert done.returncode == 2
    assert done.stderr == (
        f"ospreyd: port {port} is in use; choose another with --port, "
        f"or use the broker that listens there with --broker 127.0.0.1:{port}\n"
    )


def test_no_broker_where_one_is_named(tmp_path: Path) -> None:
    done = demo("--output", tmp_path, "--broker", "127.0.0.1:9")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "ospreyd: no broker answers at mqtt://127.0.0.1:9/; start one there or leave out --broker"
    )


CAR = Truth(2, (10, 10, 30, 30), 1.0)
HIDDEN = Truth(2, (50, 50, 60, 60), 0.2)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ([], Score(0, 1, 0)),
        ([Seen("car", 0.9, (11, 10, 30, 30))], Score(1, 0, 0)),
        ([Seen("bus", 0.9, (10, 10, 30, 30))], Score(0, 1, 1)),
        ([Seen("car", 0.9, (25, 10, 45, 30))], Score(0, 1, 1)),
        ([Seen("car", 0.9, (10, 10, 30, 30)), Seen("car", 0.8, (10, 10, 30, 30))], Score(1, 0, 1)),
        ([Seen("car", 0.9, (10, 10, 30, 30)), Seen("car", 0.8, (50, 50, 60, 60))], Score(1, 0, 0)),
    ],
)
def test_score(seen: list[Seen], expected: Score) -> None:
    assert score([CAR, HIDDEN], seen) == expected

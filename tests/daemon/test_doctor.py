"""`ospreyd doctor`: what it says of this machine and of a configuration."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import onnxruntime
import pytest

from engines.cache import EngineCache


def doctor(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """In `folder`, with its own cache there."""
    done = subprocess.run(
        [sys.executable, "-m", "daemon", "doctor", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "CACHE_DIRECTORY": str(folder / "cache")},
    )
    assert "Traceback" not in done.stderr
    return done


def report(folder: Path, *arguments: str) -> dict[str, Any]:
    done = doctor(folder, *arguments, "--json")
    assert done.stderr == ""
    return dict(json.loads(done.stdout))


def configuration(folder: Path, inference: str) -> str:
    file = folder / "box.yaml"
    file.write_text(
        f"device: a\nmqtt: {{host: h}}\ncameras: {{c: {{source: rtsp://h/1}}}}\ninference: {inference}\n",
        encoding="utf-8",
    )
    return str(file)


def test_says_what_is_here_and_what_would_run(tmp_path: Path) -> None:
    said = report(tmp_path)
    assert said["opencv"]["version"] == cv2.__version__
    assert said["opencv"]["ffmpeg"] is True
    assert list(said["backends"]) == ["tensorrt", "tensorrt_rtx", "onnxruntime"]
    assert said["backends"]["onnxruntime"]["version"] == onnxruntime.__version__
    assert said["chosen"]["name"] in said["backends"]
    assert said["chosen"]["reason"]
    assert said["cache"] == {"folder": str(tmp_path / "cache"), "engines": 0, "bytes": 0, "problem": None}
    assert not (tmp_path / "cache").exists(), "looking made something"


def test_says_the_same_in_lines_for_people(tmp_path: Path) -> None:
    EngineCache(tmp_path / "cache").get({"of": "nothing"}, ".plan", lambda: bytes(3_000_000))
    done = doctor(tmp_path)
    assert done.returncode == 0
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert list(lines) == ["ospreyd", "system", "opencv", "tensorrt", "tensorrt_rtx", "onnxruntime", "chosen", "cache"]
    assert lines["onnxruntime"] == f"works, version {onnxruntime.__version__}"
    assert lines["cache"] == f"{tmp_path}/cache: 1 engines, 3 MB"


def test_a_cache_that_is_not_safe_is_told(tmp_path: Path) -> None:
    unsafe = tmp_path / "engines"
    unsafe.mkdir()
    unsafe.chmod(0o777)
    config = configuration(tmp_path, "{backend: onnxruntime, cache: engines}")
    said = report(tmp_path, config)
    assert said["chosen"]["reason"] == "it was asked for"
    assert said["cache"]["problem"].endswith(f"chmod 700 {unsafe}")


@pytest.mark.parametrize("backend", ["tensorrt", "tensorrt_rtx"])
def test_exit_code_3_where_the_backend_of_the_configuration_does_not_work(backend: str, tmp_path: Path) -> None:
    config = configuration(tmp_path, f"{{backend: {backend}}}")
    done = doctor(tmp_path, config, "--json")
    said = json.loads(done.stdout)
    if said["backends"][backend]["problem"] is None:
        pytest.skip(f"{backend} works here")
    assert done.returncode == 3
    assert said["chosen"]["problem"].startswith(f"the backend {backend} does not work here: ")


def test_a_mistake_in_the_configuration_is_told_as_everywhere(tmp_path: Path) -> None:
    done = doctor(tmp_path, configuration(tmp_path, "{backend: cuda}"))
    assert done.returncode == 2
    assert done.stderr.endswith(
        "box.yaml:4: inference.backend: must be one of auto, tensorrt, tensorrt_rtx, onnxruntime, got 'cuda'\n"
    )

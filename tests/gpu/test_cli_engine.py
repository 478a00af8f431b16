"""`ospreyd engine` where engines run: what it builds it also compares, looks into and measures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import pytest

from daemon.demo.street.generator import StreetScene
from engines.backends import Backend
from tests.test_cli import ospreyd


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("engines")


@pytest.fixture(scope="module")
def built(backend: Backend, cache: Path) -> Any:
    """What `engine build` said of the street model."""
    return read("build", "--model", "street", "--max-batch", "4", "--cache", cache)


def read(*arguments: str | Path) -> Any:
    done = ospreyd("engine", *arguments, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_build_tells_what_memory_it_takes(built: Any, backend: Backend) -> None:
    assert built["gpu"] == backend.gpu
    assert built["detector"]["device_memory"] > 0
    assert built["preprocess"]["device_memory"] >= 0


def test_verify(built: Any, cache: Path, tmp_path: Path) -> None:
    scene = StreetScene(1280, 720, seed=4)
    for number in range(5):
        cv2.imwrite(str(tmp_path / f"{number}.png"), scene.render(7.0 * number)[0])
    report = read("verify", "--model", "street", tmp_path, "--max-batch", "4", "--cache", cache)
    assert (report["agrees"], report["precision"]) == (True, "fp16")
    assert sum(picture["expected"] for picture in report["images"]) > 5


@pytest.mark.parametrize("part", ["preprocess", "detector"])
def test_inspect(part: str, built: Any, cache: Path) -> None:
    found = read("inspect", built[part]["path"], "--cache", cache)
    assert {tensor["name"] for tensor in found["tensors"]} >= {"images"}
    assert found["layers"]
    assert sum(layer["milliseconds"] or 0 for layer in found["layers"]) > 0
    shown = ospreyd("engine", "inspect", built[part]["path"], "--cache", cache)
    assert "nodes of the model in" in shown.stdout


def test_bench(built: Any, cache: Path) -> None:
    report = read("bench", "--model", "street", "--max-batch", "4", "--seconds", "0.2", "--cache", cache)
    assert [(s["batch"], s["graph"]) for s in report["speeds"]] == [(b, g) for b in (1, 2, 4) for g in (False, True)]
    assert all(s["throughput"] > 0 and 0 < s["host"] <= s["latency"] for s in report["speeds"])

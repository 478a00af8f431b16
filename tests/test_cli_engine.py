"""`ospreyd engine` as a user meets it: engines built, accuracy measured, every mistake in one sentence."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from daemon.demo.street.generator import COUNTS_FROM, LABELS, StreetScene
from engines.backends import build_target
from engines.errors import BackendError
from tests.conftest import missing
from tests.daemon.capturing import write_video
from tests.daemon.several import commands
from tests.test_cli import ospreyd


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Every command here that names no cache uses this one."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CACHE_DIRECTORY", raising=False)
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder / "ospreyd"


@pytest.fixture(scope="module")
def tensorrt() -> str:
    """What engines are built with here, which needs no GPU."""
    try:
        target = build_target()
    except BackendError as error:
        missing("TensorRT for RTX", str(error))
        raise
    return f"{target.tensorrt.name} {target.tensorrt.version}"


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures of a drawn street, and their COCO annotations."""
    folder = tmp_path_factory.mktemp("street")
    categories = [{"id": 10 * i, "name": name} for i, name in enumerate((*LABELS, "unicorn"), 1)]
    truth: dict[str, Any] = {"images": [], "annotations": [], "categories": categories[::-1]}
    scene = StreetScene(640, 480, seed=7)
    for number in range(3):
        picture, objects = scene.render(20.0 * number)
        cv2.imwrite(str(folder / f"{number}.png"), picture)
        truth["images"].append({"id": number, "file_name": f"somewhere/{number}.png"})
        for thing in objects:
            x1, y1, x2, y2 = thing.box
            truth["annotations"].append({
                "image_id": number, "category_id": 10 * (thing.label + 1), "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": (x2 - x1) * (y2 - y1), "iscrowd": int(thing.visible < COUNTS_FROM),
            })  # fmt: skip
    (folder / "instances.json").write_text(json.dumps(truth))
    return folder


STREET = ("--model", "street")
STREETS = "{default: street}"


def of_street(command: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """A command of `ospreyd engine` on the drawn street's detector."""
    return ospreyd("engine", command, *STREET, *arguments)


def read(done: subprocess.CompletedProcess[str], code: int = 0) -> Any:
    """The document of a command with --json, which says nothing else."""
    assert (done.returncode, done.stderr) == (code, "")
    return json.loads(done.stdout)


def test_build_list_prune(tensorrt: str, tmp_path: Path) -> None:
    cache = tmp_path / "engines"
    built = read(of_street("build", "--precision", "fp16", "--max-batch", "2", "--cache", cache, "--json"))
    assert built["tensorrt"] == tensorrt
    assert (built["precision"], built["max_batch"], built["cached"]) == ("fp16", 2, False)
    assert built["seconds"] > 0
    for part in ("preprocess", "detector"):
        plan = Path(built[part]["path"])
        assert plan.parent == cache
        assert plan.stat().st_size == built[part]["bytes"] > 100_000
    again = of_street("build", "--precision", "fp16", "--max-batch", "2", "--cache", cache)
    assert again.stdout.startswith("street.onnx: found in 0.")
    assert built["detector"]["path"] in again.stdout

    entries = read(ospreyd("engine", "list", "--cache", cache, "--json"))
    assert {(e["part"], e["path"]) for e in entries} == {(p, built[p]["path"]) for p in ("preprocess", "detector")}
    listed = ospreyd("engine", "list", "--cache", cache).stdout.splitlines()
    assert len(listed) == 4
    assert any(Path(built["detector"]["path"]).name in line and "fp16" in line for line in listed)

    assert read(ospreyd("engine", "prune", "--cache", cache, "--json")) == []
    gone = ospreyd("engine", "prune", "--max-size", "0", "--cache", cache)
    assert gone.stdout.startswith("2 engines deleted, ")
    assert not list(cache.glob("*.plan"))


def test_the_configuration_says_what_is_not_given(tensorrt: str, tmp_path: Path) -> None:
    config = tmp_path / "gate.yaml"
    config.write_text(
        "device: d\nmqtt: {host: h}\ncameras: {c: {source: rtsp://x/y, model: night}}\n"
        "models: {night: {file: street, precision: fp32}}\ninference: {max_batch: 3, cache: engines}\n"
    )
    built = read(ospreyd("engine", "build", "--config", config, "--model", "night", "--json"))
    assert (built["max_batch"], built["precision"]) == (3, "fp32")
    assert Path(built["detector"]["path"]).parent == tmp_path / "engines"
    done = ospreyd("engine", "build", "--config", config)
    assert (done.returncode, done.stderr) == (2, f"ospreyd: --model: {config} has no model 'default'; it has: night\n")
    done = ospreyd("engine", "build", "--config", config, "--model", "night", "--labels", "coco")
    assert done.returncode == 2
    assert done.stderr == (
        "ospreyd: --family, --labels and --input-size: omit them with --config, which sets them for each model\n"
    )


def test_eval(street: Path) -> None:
    report = read(of_street("eval", "--annotations", street / "instances.json", "--images", street, "--json"))
    assert (report["images"], report["precision"]) == (3, "fp32")
    assert report["backend"].startswith("onnxruntime ")
    # the annotations have a class more than the model, which counts only where it occurs: nowhere
    assert 0.8 < report["mAP50"] <= 1
    assert 0.5 < report["mAP50_95"] < report["mAP50"]
    assert set(report["AP50"]) <= set(LABELS)


def test_eval_as_text_on_a_terminal_shows_a_bar(street: Path) -> None:
    """... on standard error, and the result on standard output."""
    ours, theirs = pty.openpty()
    command = [
        "engine",
        "eval",
        "--model=street",
        "--annotations",
        str(street / "instances.json"),
        "--images",
        str(street),
    ]
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "80"}
    with subprocess.Popen(
        [sys.executable, "-m", "daemon", *command], stdout=subprocess.PIPE, stderr=theirs, text=True, env=environment
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 1 << 16):
                shown += part
        except OSError:  # the other side is closed
            pass
        assert process.stdout is not None
        assert process.stdout.read().startswith("street.onnx, onnxruntime ")
    os.close(ours)
    assert "evaluating" in shown.decode()
    assert "100%" in shown.decode()


def test_verify(street: Path) -> None:
    report = read(of_street("verify", street, "--precision", "fp16", "--json"))
    assert (report["agrees"], report["precision"], len(report["images"])) == (True, "fp16", 3)
    for picture in report["images"]:
        assert picture["expected"] > 0
        assert (picture["missed"], picture["unexpected"]) == (0, 0)
        assert 0.95 <= picture["worst_iou"] <= 1
        assert picture["worst_score_difference"] <= 0.02
    assert any(0 < picture["output_score_error"] < 0.1 for picture in report["images"])  # it is not FP32
    assert any(0 < picture["output_box_error"] < 10 for picture in report["images"])
    told = of_street("verify", street / "1.png").stdout.splitlines()
    assert told[0].endswith(", fp32 against FP32 on ONNX Runtime")
    assert told[-1] == "the image agrees"


MISTAKES: list[tuple[list[str], int, str]] = [
    (
        ["build", *STREET, "--backend", "cuda"],
        3,
        "there is no backend 'cuda'; known: auto, tensorrt, tensorrt_rtx, onnxruntime",
    ),
    (["build", *STREET, "--backend", "onnxruntime"], 3, "ONNX Runtime needs no engines; there is nothing to build"),
    (
        ["build", *STREET, "--calibrate-from", "front"],
        2,
        "--calibrate-from: fp16 needs no images; add --precision int8",
    ),
    (
        ["build", *STREET, "--precision", "int8", "--calibrate-from", "front"],
        2,
        "--calibrate-from: there is no folder or video 'front'; a camera needs --config too",
    ),
    (
        ["build", "--precision", "int8", "--calibrate-from", "front", "--config", "gate.yaml"],
        2,
        "--calibrate-from: gate.yaml has no camera 'front'; it has: gate, yard",
    ),
    (["prune", "--max-size", "much"], 2, "--max-size: must be a size such as 500MB or 2GB, got 'much'"),
    (
        ["inspect", "gate.yaml", "--cache", "c"],
        2,
        ("gate.yaml: is not an engine in c, and only engines built here are loaded; ospreyd engine list shows them"),
    ),
    (["list", "--cache", "gate.yaml"], 2, "gate.yaml: cannot be used for engines: File exists; choose another"),
    (["verify", *STREET, "none.png"], 2, "none.png: there is no such image file"),
    (
        ["verify", *STREET, "empty"],
        2,
        "the folder empty holds no pictures (.bmp, .jpeg, .jpg, .png, .tif, .tiff, .webp)",
    ),
    (
        ["eval", *STREET, "--annotations", "none.json", "--images", "."],
        2,
        "none.json: cannot be read: No such file or directory",
    ),
]


def test_mistakes(tensorrt: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    cameras = "{gate: {source: rtsp://x/y}, yard: {source: rtsp://x/y}}"
    (tmp_path / "gate.yaml").write_text(f"device: d\nmqtt: {{host: h}}\nmodels: {STREETS}\ncameras: {cameras}\n")
    found = commands(tmp_path, *(["engine", *arguments] for arguments, _, _ in MISTAKES))
    said = [(done.args[1:], done.returncode, done.stdout, done.stderr) for done in found]
    assert said == [(arguments, code, "", f"ospreyd: {message}\n") for arguments, code, message in MISTAKES]


def test_what_needs_a_gpu_says_so(tensorrt: str) -> None:
    built = read(of_street("build", "--json"))
    if built["gpu"] is not None:
        pytest.skip("there is a GPU")
    for arguments in (["bench", *STREET], ["inspect", built["detector"]["path"]]):
        done = ospreyd("engine", *arguments)
        assert (done.returncode, done.stdout) == (3, "")
        assert len(done.stderr.splitlines()) == 1


def test_an_engine_of_another_version_is_not_loaded(tensorrt: str, own_cache: Path) -> None:
    plan = Path(read(of_street("build", "--max-batch", "3", "--json"))["detector"]["path"])
    notes = plan.with_suffix(".json")
    name, version = tensorrt.split()
    notes.write_text(notes.read_text().replace(tensorrt, f"{name} 0.1"))
    done = ospreyd("engine", "inspect", plan.name)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"ospreyd: {plan}: was built by {name} 0.1, this is {version}; rebuild it with ospreyd engine build\n"
    )


def test_int8_from_a_camera(tensorrt: str, street: Path, own_cache: Path, tmp_path: Path) -> None:
    """Frames of a configured camera are collected once; what uses INT8 afterwards finds them."""
    scene = StreetScene(320, 240, seed=8)
    write_video(tmp_path / "film.avi", [scene.render(t / 2)[0] for t in range(40)])
    config = tmp_path / "gate.yaml"
    config.write_text("device: d\nmqtt: {host: h}\nmodels: {default: street}\ncameras: {front: {source: film.avi}}\n")
    options = ["--precision", "int8", "--max-batch", "1"]
    none = of_street("build", *options)
    assert none.returncode == 2
    assert none.stderr.startswith("ospreyd: int8 needs calibration images")
    built = read(
        ospreyd(
            "engine", "build", *options, "--config", config, "--calibrate-from", "front", "--frames", "35", "--json"
        )
    )
    assert built["precision"] == "int8"
    assert len(list((own_cache / "calibration" / "street").iterdir())) == 35
    again = read(of_street("build", *options, "--json"))
    assert (again["cached"], again["detector"]["path"]) == (True, built["detector"]["path"])
    report = read(of_street("eval", "--annotations", street / "instances.json", "--images", street, *options, "--json"))
    assert report["precision"] == "int8"
    assert report["mAP50"] > 0.7


def test_a_mean_picture_calibrates_badly(tensorrt: str, street: Path, tmp_path: Path) -> None:
    """INT8 from black pictures sees nothing of the street, and verify says so."""
    black = tmp_path / "black"
    black.mkdir()
    for number in range(32):
        cv2.imwrite(str(black / f"{number}.png"), np.full((48, 64, 3), number % 3, np.uint8))
    report = read(of_street("verify", street, "--precision", "int8", "--calibration", black, "--json"), code=1)
    assert report["agrees"] is False
    assert sum(picture["missed"] for picture in report["images"]) > 0

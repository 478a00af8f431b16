"""The command line as a user meets it: output, exit codes, and every mistake in one sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from daemon import __version__
from daemon.demo.street.generator import StreetScene
from engines.graphs.heads import FAMILIES
from engines.image_file import read_image
from engines.records import Detections
from tests.conftest import ROOT
from tests.daemon.several import commands
from tests.engines.decoding import GRID, HEIGHT, WIDTH, pixel_rows
from tests.engines.making import Making
from tests.reference import A_FEW, disagreements, expected_of, with_one_class


def ospreyd(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs the command; a traceback is a failure whatever was asked."""
    done = subprocess.run(
        [sys.executable, "-m", "daemon", *map(str, arguments)], capture_output=True, text=True, cwd=cwd, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def detections(entry: dict[str, Any]) -> Detections:
    found = entry["detections"]
    return Detections(
        np.array([d["box"] for d in found], np.float32).reshape(-1, 4),
        np.array([d["score"] for d in found], np.float32),
        np.array([d["class_id"] for d in found], np.int32),
    )


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture of the demonstration street."""
    path = tmp_path_factory.mktemp("pictures") / "street.png"
    cv2.imwrite(str(path), StreetScene(640, 360, seed=3).render(4.0)[0])
    return path


def test_version() -> None:
    assert ospreyd("--version").stdout == f"ospreyd {__version__}\n"


@pytest.mark.parametrize("command", ["web", "watch", "schema"])
def test_a_command_without_detectors_does_not_load_onnx_runtime(command: str) -> None:
    """It would double the start and the memory of the page's process, which runs for ever beside the daemon."""
    program = f"""
import sys
from daemon.cli.main import run_cli
assert run_cli([{command!r}, "--help"]) == 0
print("onnxruntime" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_nothing_is_reported_to_the_maker_of_onnx_runtime(tmp_path: Path) -> None:
    """It would write an id of the machine and a first report into the home folder, and send it after some seconds."""
    # no other variables: some, as CI=true, would keep it quiet by themselves
    quiet = {"HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "daemon", "--version"]
    subprocess.run(command, env=quiet, cwd=ROOT, check=True, timeout=60, stdout=subprocess.DEVNULL)
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize("model", A_FEW)
def test_detect_finds_what_the_reference_finds(model: str, material: Path) -> None:
    references = expected_of(material, model)
    pictures = [material / "images" / r.image for r in references]
    done = ospreyd(
        "detect", *pictures, "--model", material / "models" / f"{model}.onnx", "--labels", "coco",
        "--confidence", "0.1", "--json",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert [entry["image"] for entry in report] == [str(p) for p in pictures]
    for entry, reference in zip(report, references, strict=True):
        assert disagreements(with_one_class(reference), detections(entry)) == []


def test_detect_takes_the_options_of_a_model(street: Path, tmp_path: Path) -> None:
    """The size of an input that the file leaves open, on the command line or from the configuration."""
    rows = pixel_rows(len(GRID), 6).transpose(0, 2, 1)
    making = Making({"output0": rows}, size=("batch", 3, "height", "width"), metadata={})
    making.save(tmp_path / "open.onnx")
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    model = "--model", "open.onnx", "--labels", "names.txt"
    refused = ospreyd("detect", street, *model, cwd=tmp_path)
    assert (refused.returncode, "the input size is left open" in refused.stderr) == (3, True)
    given = ospreyd("detect", street, *model, "--input-size", f"{WIDTH}x{HEIGHT}", "--json", cwd=tmp_path)
    (tmp_path / "box.yaml").write_text(
        f"device: a\nmqtt: {{host: h}}\ncameras: {{c: {{source: x.mp4}}}}\n"
        f"models: {{default: {{file: open.onnx, labels: names.txt, input: {{size: [{HEIGHT}, {WIDTH}]}}}}}}\n"
    )
    configured = ospreyd("detect", street, "--config", "box.yaml", "--json", cwd=tmp_path)
    assert (given.returncode, configured.returncode) == (0, 0), given.stderr + configured.stderr
    found = json.loads(given.stdout)[0]["detections"]
    assert len(found) > 3
    assert json.loads(configured.stdout)[0]["detections"] == found


def test_detect_draws_and_tells(street: Path, tmp_path: Path) -> None:
    done = ospreyd("detect", "--model", "street", street, street, "--save", tmp_path / "out")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0].startswith(f"{street}  640x360  ")
    drawn, plain = read_image(tmp_path / "out" / "002-street.png"), read_image(street)
    assert drawn.shape == plain.shape
    assert not np.array_equal(drawn, plain)


def test_detect_cannot_save(street: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = ospreyd("detect", "--model", "street", street, "--save", tmp_path / "file")
    assert done.returncode == 2
    assert done.stderr == (
        f"ospreyd: {tmp_path}/file/001-street.png: cannot be written: File exists; choose another --save\n"
    )


def test_detect_takes_grey_alpha_and_16_bits(street: Path, tmp_path: Path) -> None:
    colour = read_image(street)
    alpha = cv2.cvtColor(colour, cv2.COLOR_BGR2BGRA)
    alpha[:, :, 3] = 128
    cv2.imwrite(str(tmp_path / "alpha.png"), alpha)
    cv2.imwrite(str(tmp_path / "deep.png"), colour.astype(np.uint16) * 257)
    cv2.imwrite(str(tmp_path / "grey.jpg"), cv2.cvtColor(colour, cv2.COLOR_BGR2GRAY))
    cv2.imwrite(str(tmp_path / "tiny.png"), colour[:3, :2])
    names = ["alpha.png", "deep.png", "grey.jpg", "tiny.png"]
    done = ospreyd("detect", "--model", "street", street, *(tmp_path / name for name in names), "--json")
    assert done.returncode == 0
    plain, with_alpha, deep, grey, tiny = json.loads(done.stdout)
    assert plain["detections"]
    assert with_alpha["detections"] == deep["detections"] == plain["detections"]
    assert (grey["width"], grey["height"], tiny["width"], tiny["height"]) == (640, 360, 2, 3)


def test_a_broken_picture_does_not_stop_the_others(street: Path, tmp_path: Path) -> None:
    text, empty, none = tmp_path / "text.jpg", tmp_path / "empty.png", tmp_path / "none.png"
    text.write_text("no picture")
    empty.touch()
    done = ospreyd("detect", "--model", "street", text, street, empty, none, tmp_path, "--json")
    assert done.returncode == 2
    assert [entry["image"] for entry in json.loads(done.stdout)] == [str(street)]
    assert done.stderr.splitlines() == [
        f"ospreyd: {text}: is not an image that OpenCV can read, or is damaged",
        f"ospreyd: {empty}: is not an image that OpenCV can read, or is damaged",
        f"ospreyd: {none}: there is no such image file",
        f"ospreyd: {tmp_path}: cannot be read: Is a directory",
    ]


MISTAKES: list[tuple[list[str], int, str]] = [
    (
        ["--model", "none.onnx"],
        3,
        "ospreyd: none.onnx: there is no such model file",
    ),
    (
        ["--model", "names.txt"],
        3,
        "ospreyd: names.txt: is not an ONNX model, or is damaged; export it again",
    ),
    (
        ["--family", "yolvx"],
        3,
        f"ospreyd: unknown model family 'yolvx'; did you mean yolox? (known: auto, {', '.join(FAMILIES)})",
    ),
    (
        ["--backend", "cuda"],
        3,
        "ospreyd: there is no backend 'cuda'; known: auto, tensorrt, tensorrt_rtx, onnxruntime",
    ),
]


def test_mistakes_with_models(street: Path, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("cat\n")
    detect = "detect", "--model", "street", str(street)
    found = commands(tmp_path, *([*detect, *arguments] for arguments, _, _ in MISTAKES))
    said = [(done.args[len(detect) :], done.returncode, done.stdout, done.stderr) for done in found]
    assert said == [(arguments, code, "", message + "\n") for arguments, code, message in MISTAKES]


def test_as_many_labels_as_classes(street: Path, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("cat\n")
    done = ospreyd("detect", "--model", "street", street, "--labels", "names.txt", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("ospreyd: names.txt has 1 label but ")
    assert "street.onnx has 5 " in done.stderr


def test_check(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("device: d\nmqtt: {host: h}\nmodels: {default: street}\ncameras: {c: {source: rtsp://x/y}}\n")
    bad.write_text("device: d\nmqtt: {host: h}\ncameras:\n  c: {sorce: rtsp://x/y}\n")
    valid, mistaken, done = commands(
        tmp_path, *(["check", *of] for of in ([str(good)], [str(bad)], [str(bad), "--json"]))
    )
    assert (valid.returncode, valid.stdout) == (0, f"{good}: valid; device d, 1 camera\n")
    assert mistaken.returncode == 2
    assert all(line.startswith(f"{bad}:4: cameras.c.") for line in mistaken.stderr.splitlines())
    assert (done.returncode, done.stderr) == (2, "")
    document = json.loads(done.stdout)
    assert document["valid"] is False
    assert len(document["problems"]) >= 1


def test_schema(tmp_path: Path) -> None:
    names = "config", "detections", "camera-status", "info", "stats"
    for done in commands(tmp_path, *(["schema", name] for name in names)):
        assert json.loads(done.stdout)["$schema"].startswith("https://json-schema.org/")


def test_schema_unknown() -> None:
    done = ospreyd("schema", "detection")
    assert done.returncode == 2
    assert done.stderr.startswith("ospreyd: there is no schema 'detection'; known: config, ")


def test_demo_broker_must_be_an_address() -> None:
    done = ospreyd("demo", "--broker", "localhost")
    assert (done.returncode, done.stderr) == (2, "ospreyd: --broker: must be host:port, got 'localhost'\n")

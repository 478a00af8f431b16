"""Installed models where a file may stand: in configurations and on the command line."""

from __future__ import annotations

import json
import os
import resource
import shutil
from pathlib import Path
from typing import Any

import cv2
import pytest

from daemon.cli.main import run_cli
from daemon.config.load import load
from daemon.config.model import Model
from daemon.demo.street.generator import StreetScene
from daemon.errors import ConfigError
from daemon.inference.model_revision import ModelRevision
from daemon.modelstore import inventory
from daemon.modelstore.catalogue import read_catalogue
from daemon.modelstore.install import locked
from engines.models import street_onnx

NAMES = "person\nbicycle\ncar\nbus\nhound\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("names.txt").write_text(NAMES)


def ospreyd(*arguments: str, code: int = 0) -> None:
    assert run_cli(arguments) == code


def written(models: str = "") -> Path:
    config = Path("box.yaml")
    config.write_text(f"device: a\nmqtt: {{host: h}}\n{models}cameras: {{c: {{source: x.mp4}}}}\n")
    return config


def loaded(models: str = "") -> Model:
    return load(written(models)).models["default"]


def refusal(models: str) -> str:
    with pytest.raises(ConfigError) as error:
        load(written(models))
    (problem,) = error.value.problems
    return problem


def add(name: str, *more: str) -> inventory.Installed:
    ospreyd("model", "add", str(street_onnx()), "--name", name, *more)
    return inventory.find(name)


def test_how_a_model_is_read_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    one = add("own", "--labels", "names.txt", "--input", "{pad: 7, scale: 2}", "--confidence", "0.7")
    assert one.path.read_bytes() == street_onnx().read_bytes()
    Path("names.txt").unlink()
    for given in ("models: {default: own}\n", "", "models: {default: {file: own}}\n", "models: {default: {}}\n"):
        found = loaded(given)
        assert (found.file, found.family, found.confidence) == (str(one.path), "yolox", 0.7)
        assert (found.input.pad, found.input.scale) == (7, 2)
        assert Path(str(found.labels)).read_text() == NAMES
    given = "models: {default: {file: own, labels: coco, confidence: 0.1, input: {pad: 9, mean: [1, 2, 3]}}}\n"
    found = loaded(given)
    assert (found.labels, found.confidence) == ("coco", 0.1)
    assert (found.input.pad, found.input.scale, found.input.mean) == (9, None, (1, 2, 3))
    capsys.readouterr()
    ospreyd("check", str(written()))
    assert capsys.readouterr().out.splitlines()[1:] == ["model default: own, installed"]
    ospreyd("check", str(written()), "--json")
    assert json.loads(capsys.readouterr().out)["models"] == {"default": "own"}


def test_a_name_works_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    cv2.imwrite("x.png", StreetScene(416, 256, seed=3).render(4.0)[0])
    add("own", "--labels", "names.txt")
    add("other")
    capsys.readouterr()
    found = {}
    for name in ("own", "other", "street"):
        ospreyd("detect", "x.png", "--model", name, "--json")
        found[name] = json.loads(capsys.readouterr().out)[0]["detections"]
    assert len(found["street"]) > 0
    assert found["other"] == found["street"]
    assert [one["box"] for one in found["own"]] == [one["box"] for one in found["street"]]
    ospreyd("detect", "x.png", "--json")  # the first that was installed
    assert json.loads(capsys.readouterr().out)[0]["detections"] == found["own"]
    ospreyd("detect", "x.png", "--model", "own", "--labels", "coco", code=2)
    ospreyd("detect", "x.png", "--model", "othr", code=2)
    assert "did you mean other? " in capsys.readouterr().err


def test_which_one_serves(capsys: pytest.CaptureFixture[str]) -> None:
    add("a")
    add("b")
    assert inventory.named_after(loaded().file) == "a"
    ospreyd("model", "get", "b", "--default")  # no model of the catalogue, but installed
    assert inventory.named_after(loaded().file) == "b"
    capsys.readouterr()
    ospreyd("model", "list", "--json")
    listed = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert [name for name, one in listed.items() if one["installed"]] == ["a", "b"]
    assert [name for name, one in listed.items() if one["default"]] == ["b"]
    assert listed.keys() >= read_catalogue().keys()
    ospreyd("model", "remove", "b")
    assert loaded().file is None
    ospreyd("check", str(written()), code=2)
    add("c")
    assert inventory.named_after(loaded().file) == "c"


def test_a_file_of_another_content_takes_its_place(tmp_path: Path) -> None:
    before = add("own")
    ospreyd("model", "add", str(street_onnx()), "--name", "own", "--confidence", "0.9")
    assert (inventory.find("own").path, inventory.find("own").confidence) == (before.path, 0.9)
    Path("broken.onnx").write_bytes(street_onnx().read_bytes()[:1000])
    ospreyd("model", "add", "broken.onnx", "--name", "own", code=3)
    assert inventory.find("own").path.read_bytes() == street_onnx().read_bytes()


def test_the_drawn_streets_detector_warns_wherever_it_serves(caplog: pytest.LogCaptureFixture) -> None:
    add("own")
    for models, warns in (("models: {default: street}\n", True), ("models: {default: own}\n", False), ("", False)):
        caplog.clear()
        ModelRevision.read("default", load(written(models)))
        assert any("knows drawn streets only" in r.message for r in caplog.records if r.levelname == "WARNING") is warns


MISTAKES = {
    "yolox-x": "no model 'yolox-x'; installed: own; did you mean yolox-",
    "yolox-s": "no model 'yolox-s'; installed: own; get it with: ospreyd model get yolox-s",
    "own2": "no model 'own2'; installed: own; did you mean own? ",
    "box": "a path has a dot or a slash, as ./box",
}


@pytest.mark.parametrize("name", MISTAKES)
def test_what_is_not_installed(name: str) -> None:
    add("own")
    for given in (f"models: {{default: {name}}}\n", f"models: {{default: {{file: {name}}}}}\n"):
        assert MISTAKES[name] in refusal(given)
    assert refusal(f"models: {{default: {name}}}\n").startswith("box.yaml:3: models.default: ")


def test_a_damaged_or_foreign_record_is_no_model() -> None:
    one = add("own")
    record = one.folder / "model.json"
    values = json.loads(record.read_text())
    for change in (
        {"file": "../../../etc/passwd"},
        {"labels": "/etc/passwd"},
        {"name": "b"},
        {"input": 3},
        {"size": None},
    ):
        record.write_text(json.dumps({**values, **change}))
        assert inventory.installed() == {}
    record.write_text(json.dumps(values))
    one.path.write_bytes(b"short")
    assert "the installed model own is damaged; run: ospreyd model add FILE --name own" in refusal(
        "models: {default: own}\n"
    )


def test_models_of_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image's or a distribution's; the user's own come first."""
    add("own", "--confidence", "0.1")
    shutil.move(inventory.own_folder(), tmp_path / "system")
    monkeypatch.setattr(inventory, "SYSTEM", tmp_path / "system")
    assert loaded().confidence == 0.1
    add("own", "--confidence", "0.2")
    assert loaded().confidence == 0.2
    ospreyd("model", "verify", "own")


def doctor(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[Any, list[Any]]:
    capsys.readouterr()
    run_cli(["doctor", *arguments, "--json"])
    said = json.loads(capsys.readouterr().out)
    return said["models"], [problem for problem in said["problems"] if problem["what"] == "models"]


def test_the_doctor_says_which_serves_and_whether_it_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    facts, (problem,) = doctor(capsys)
    assert (facts["default"], problem["fix"], problem["stops"]) == (None, "ospreyd model get", False)
    one = add("own")
    add("other")
    config = "device: a\nmqtt: {host: 127.0.0.1, port: 1}\nservice: {metrics: null}\ncameras: {c: {source: x.mp4}}\n"
    Path("box.yaml").write_text(config)
    facts, problems = doctor(capsys, "box.yaml")
    assert (facts["default"], facts["used"], problems) == ("own", {"default": "own"}, [])
    assert {name: one["whole"] for name, one in facts["installed"].items()} == {"other": True, "own": True}
    data = bytearray(one.path.read_bytes())
    data[-1] ^= 1
    one.path.write_bytes(data)
    facts, (problem,) = doctor(capsys, "box.yaml")
    assert (facts["installed"]["own"]["whole"], problem["stops"]) == (False, True)
    assert problem["fix"] == "ospreyd model add FILE --name own"
    ospreyd("model", "get", "own", code=1)


@pytest.mark.parametrize(("stops", "code"), [(None, 3), (KeyboardInterrupt, 130)])
def test_nothing_is_left_of_a_copy_that_is_not_installed(
    stops: type[BaseException] | None, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file was replaced by another one meanwhile, or the user has had enough."""

    def copy(_: Path, part: Path) -> None:
        part.write_bytes(b"something else")
        if stops is not None:
            raise stops

    monkeypatch.setattr(shutil, "copyfile", copy)
    ospreyd("model", "add", str(street_onnx()), "--name", "own", code=code)
    assert [one.name for one in inventory.own_folder().iterdir()] == [".own.lock"]


def test_a_folder_that_cannot_be_used_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["model", "add", str(street_onnx()), "--name", "own"]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # as a disk that is full
    try:
        assert run_cli(arguments) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert inventory.installed() == {}
    assert list(inventory.own_folder().glob("*.part")) == []
    with locked("own"):
        assert run_cli(arguments) == 1
    if os.geteuid() == 0:
        os.chown(inventory.own_folder(), 12345, -1)
        assert run_cli(arguments) == 1
        os.chown(inventory.own_folder(), 0, -1)
    shutil.rmtree(inventory.own_folder())
    inventory.own_folder().touch()
    assert run_cli(arguments) == 1
    told = capsys.readouterr().err.splitlines()
    sentences = ["cannot be copied: File too large", "another ospreyd fetches own"]
    sentences += ["belongs to user 12345"] if os.geteuid() == 0 else []
    for line, sentence in zip(told, [*sentences, "models: "], strict=True):
        assert sentence in line

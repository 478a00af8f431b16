"""`ospreyd model`: from a catalogue to a model that serves, over a network of every kind."""

from __future__ import annotations

import hashlib
import json
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml

from daemon.cli.main import run_cli
from daemon.errors import UsageError
from daemon.inference.model_config import find_model
from daemon.modelstore import inventory
from engines.models import street_onnx
from tests.conftest import wait_for
from tests.engines.making import Making
from tests.servers import certificates
from tests.servers.model_server import ModelServer, entry, other, stall, status


def variant(name: str) -> bytes:
    """The drawn street's detector as another file."""
    proto = onnx.load(street_onnx())
    proto.doc_string = name
    return bytes(proto.SerializeToString())


FILE = variant("a")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificates.make(tmp_path_factory.mktemp("tls") / "keys", "DNS:localhost")


@pytest.fixture
def server(keys: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ModelServer]:
    """The origin of the catalogue's models."""
    for name in ("https_proxy", "HTTPS_PROXY", "OSPREYD_MODEL_MIRROR", "OSPREYD_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(keys / "ca.crt"))
    monkeypatch.chdir(tmp_path)
    with ModelServer(FILE, keys) as running:
        Path("catalogue.yaml").write_text(yaml.safe_dump({"street-a": entry(running, FILE)}))
        yield running


def model(*arguments: str | Path, code: int = 0) -> None:
    given = [str(each) for each in arguments]
    catalogue = ["--catalogue", "catalogue.yaml"] if given[0] in ("get", "list") else []
    assert run_cli(["model", *given, *catalogue]) == code


def place() -> Path:
    return inventory.own_folder()


def test_killed_resumed_installed(server: ModelServer) -> None:
    """What it is and its licence are said before the first byte; once it is there, nothing is asked."""
    server.answers = [stall(len(FILE) // 2)]
    command = [sys.executable, "-m", "daemon", "model", "get", "street-a", "--catalogue", "catalogue.yaml"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert f"{len(FILE) / 1e6:.1f} MB from localhost:" in said
        assert said.endswith("licence Apache-2.0, by us, trained on drawn streets\n")
        parts = place()
        wait_for(lambda: [part.stat().st_size for part in parts.glob("*.part")] == [len(FILE) // 2], "half of it", 60)
        model("get", "street-a", code=1)  # another ospreyd fetches it
        process.send_signal(signal.SIGKILL)
    assert inventory.installed() == {}
    model("get", "street-a")
    assert [asked for _, asked in server.requests] == [None, f"bytes={len(FILE) // 2}-"]
    model("get", "street-a")
    assert len(server.requests) == 2
    one = inventory.default()
    assert one is not None
    assert (one.name, one.path.read_bytes() == FILE, one.origin) == ("street-a", True, f"{server.url}/street_a.onnx")
    assert sorted(file.name for file in one.folder.iterdir()) == ["LICENSE", "model.json", one.file]
    assert "Apache License" in (one.folder / "LICENSE").read_text()
    assert (place().stat().st_mode & 0o777, one.path.stat().st_mode & 0o777) == (0o700, 0o600)


def test_interrupted_it_is_kept(server: ModelServer) -> None:
    server.answers = [stall(1000)]
    command = [sys.executable, "-m", "daemon", "model", "get", "street-a", "--catalogue", "catalogue.yaml"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        wait_for(lambda: [part.stat().st_size for part in place().glob("*.part")] == [1000], "a part of it", 60)
        process.send_signal(signal.SIGINT)
        assert "Traceback" not in process.communicate(timeout=60)[1]
        assert process.returncode != 0
    model("get", "street-a")
    assert server.requests[-1][1] == "bytes=1000-"


def test_a_wrong_file_changes_nothing(server: ModelServer, capsys: pytest.CaptureFixture[str]) -> None:
    model("get", "street-a")
    before = {file: file.read_bytes() for file in place().rglob("*") if file.is_file()}
    new = variant("b")
    Path("catalogue.yaml").write_text(yaml.safe_dump({"street-a": entry(server, new)}))
    server.answers = [other(FILE[:-1] + b"x" + b"y" * (len(new) - len(FILE)))]
    capsys.readouterr()
    model("get", "street-a", code=1)
    assert (
        f"expected {hashlib.sha256(new).hexdigest()}: not used, deleted; from {server.url}" in capsys.readouterr().err
    )
    Path("catalogue.yaml").write_text(yaml.safe_dump({"street-a": entry(server, new, imgsz=[416, 416])}))
    server.data = new
    model("get", "street-a", code=1)
    assert "its input is 416x256 and not 416x416" in capsys.readouterr().err
    Path("catalogue.yaml").write_text(yaml.safe_dump({"street-a": entry(server, new, family="nanodet")}))
    model("get", "street-a", code=1)
    assert "the file is as pinned, but cannot be used" in capsys.readouterr().err
    assert {file: file.read_bytes() for file in place().rglob("*") if file.is_file()} == before
    Path("catalogue.yaml").write_text(yaml.safe_dump({"street-a": entry(server, new)}))
    model("get", "street-a")
    assert [file.read_bytes() == new for file in place().glob("*/*.onnx")] == [True]


def test_damage_is_found_and_mended(server: ModelServer, capsys: pytest.CaptureFixture[str]) -> None:
    model("get", "street-a")
    model("verify")
    one = inventory.find("street-a")
    one.path.write_bytes(FILE[:-1] + b"x")
    capsys.readouterr()
    model("verify", "--json", code=1)
    (said,) = json.loads(capsys.readouterr().out)
    assert (said["whole"], "the sha256 of " in said["problem"]) == (False, True)
    model("get", "street-a")
    model("verify")
    one.path.write_bytes(FILE[:-1])
    with pytest.raises(UsageError, match="is damaged; run: ospreyd model get street-a --catalogue FILE"):
        inventory.find("street-a")
    (one.folder / "model.json").write_text("{")
    model("verify", code=1)
    model("remove", "street-a")
    assert list(place().glob("street-a*")) == []
    model("remove", "street-a", code=2)
    model("verify", "street-a", code=1)


def test_mirrors_and_offline(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sha256 = hashlib.sha256(FILE).hexdigest()
    monkeypatch.setenv("OSPREYD_OFFLINE", "1")
    model("get", "street-a", code=1)
    assert "OSPREYD_OFFLINE is set" in capsys.readouterr().err
    assert server.requests == []
    monkeypatch.delenv("OSPREYD_OFFLINE")
    with ModelServer(FILE) as mirror:
        monkeypatch.setenv("OSPREYD_MODEL_MIRROR", f"{mirror.url}/models/")
        mirror.answers = [status(404)]
        model("get", "street-a")
        assert [path for path, _ in mirror.requests] == [f"/models/{sha256}/street_a.onnx", "/models/street_a.onnx"]
        assert server.requests == []
        model("remove", "street-a")
        mirror.otherwise = other(b"<html>")  # what the origin has is right
        model("get", "street-a")
        model("remove", "street-a")
    server.otherwise = status(404)
    monkeypatch.setenv("OSPREYD_MODEL_MIRROR", "http://user:secret@localhost/models")
    capsys.readouterr()
    model("get", "street-a", code=2)
    assert "secret" not in capsys.readouterr().err
    monkeypatch.setenv("OSPREYD_MODEL_MIRROR", "https://models.invalid")
    model("get", "street-a", code=1)
    told = capsys.readouterr().err
    for part in ("models.invalid cannot be reached", "localhost: 404: gone", "HTTPS_PROXY", "--to DIR elsewhere"):
        assert part in told


def test_by_hand(server: ModelServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Fetched with --to on one machine, installed with --from on another, which asks nobody."""
    model("get", "street-a", "--to", "stick")
    assert (Path("stick/street_a.onnx").read_bytes() == FILE, inventory.installed()) == (True, {})
    monkeypatch.setenv("OSPREYD_OFFLINE", "1")
    Path("empty").mkdir()
    for given, code, sentence in (
        ("empty", 1, "holds no street-a (street_a.onnx, "),
        ("none", 2, "there is no none"),
        ("catalogue.yaml", 1, "sha256 is "),
    ):
        model("get", "street-a", "--from", given, code=code)
        assert sentence in capsys.readouterr().err
    assert inventory.installed() == {}
    Path("stick/street_a.onnx").rename("stick/renamed")
    model("get", "street-a", "--from", "stick")
    assert inventory.find("street-a").path.read_bytes() == FILE
    assert len(server.requests) == 1


def test_one_at_a_time_into_a_folder(server: ModelServer) -> None:
    server.answers = [stall(1000)]
    command = [sys.executable, "-m", "daemon", "model", "get", "street-a", "--catalogue", "catalogue.yaml"]
    with subprocess.Popen([*command, "--to", "stick"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        wait_for(lambda: [part.stat().st_size for part in Path("stick").glob("*.part")] == [1000], "a part of it", 60)
        model("get", "street-a", "--to", "stick", code=1)
        model("get", "street-a", "--to", "another")
        process.kill()
    model("get", "street-a", "--to", "stick")
    assert [asked for _, asked in server.requests] == [None, None, "bytes=1000-"]
    saved = Path("stick/street_a.onnx")
    assert (saved.read_bytes() == FILE, saved.stat().st_mode & 0o777, list(Path("stick").glob("*.part"))) == (
        True, 0o644, [],
    )  # fmt: skip


def test_a_size_that_the_file_leaves_open(server: ModelServer, capsys: pytest.CaptureFixture[str]) -> None:
    """As Hugging Face's: the entry says it, and wherever the name stands it is known."""
    outputs = {"logits": np.full((1, 100, 80), -2, np.float32), "pred_boxes": np.full((1, 100, 4), 0.5, np.float32)}
    size = ("batch", 3, "height", "width")
    server.data = Making(outputs, size=size, metadata={}, aside=["GridSample"]).proto().SerializeToString()
    how = {"family": "detr-raw", "labels": "coco", "imgsz": [64, 96]}
    for more, code in (({}, 1), ({"input": {"size": [64, 64]}}, 1), ({"input": {"size": [64, 96]}}, 0)):
        Path("catalogue.yaml").write_text(yaml.safe_dump({"open": entry(server, server.data, **how, **more)}))
        model("get", "open", code=code)
    told = capsys.readouterr().err
    assert "the input size is left open" in told
    assert "its input is 64x64 and not 96x64" in told
    found = find_model("open", "auto", None)
    assert (found.width, found.height, found.labels[0]) == (96, 64, "person")


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """The folder of models is a file system of one MB."""
    place().mkdir(0o700)
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "none", str(place())]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield place()
    subprocess.run(["umount", "-l", str(place())], check=True)


def test_a_full_disk_and_one_that_is_read_only(
    server: ModelServer, small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Said before the first byte."""
    model("get", "street-a", code=1)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    model("get", "street-a", code=1)
    full, read_only = capsys.readouterr().err.splitlines()
    assert f"street-a needs 2 MB, 1 MB are free in {small_disk}" in full
    assert "cannot be written: Read-only file system" in read_only
    assert (server.requests, inventory.installed()) == ([], {})


def test_a_disk_that_is_full_meanwhile(server: ModelServer, capsys: pytest.CaptureFixture[str]) -> None:
    """What came of the file is kept."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        model("get", "street-a", code=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "cannot be written: File too large" in capsys.readouterr().err
    model("get", "street-a")
    assert server.requests[-1][1] == "bytes=100000-"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["get", "streeta"], "did you mean street-a? "),
        (["get", "street"], "no model 'street'"),
        (["get", "street-a", "--from", ".", "--to", "."], "--from and --to"),
        (["get", "street-a", "street-a", "--default"], "--default: goes with one model"),
        (["add", "none.onnx", "--name", "a.b"], "--name: must be letters"),
        (["add", "none.onnx", "--name", "own\n"], "--name: must be letters"),
        (["add", "none.onnx", "--name", "default"], "none of default, street"),
        (["add", "none.onnx", "--name", "yolox-s"], "--name: yolox-s is a model of the catalogue"),
        (["add", "none.onnx", "--name", "own", "--input", "x"], "--input: must be a mapping"),
        (["add", "none.onnx", "--name", "own", "--input", "{colour: bgr}"], "--input: colour: "),
        (["remove", "own"], "no model 'own' is installed"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_use(
    server: ModelServer, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    model(*arguments, code=2)
    assert sentence in capsys.readouterr().err
    assert server.requests == []

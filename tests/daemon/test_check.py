"""`ospreyd check`, `doctor` and `run` find the same mistakes, each with its line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from daemon.config.load import load
from daemon.errors import ConfigError
from tests.conftest import ROOT
from tests.daemon.several import commands
from tests.servers.mosquitto import free_port


def ospreyd(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "STATE_DIRECTORY": str(folder / "state")}
    done = subprocess.run(
        [sys.executable, "-m", "daemon", *arguments],
        capture_output=True, text=True, check=False, cwd=folder, env=environment, timeout=60,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done


def written(folder: Path, text: str) -> str:
    (folder / "box.yaml").write_text(f"device: a\nmqtt: {{host: 127.0.0.1, port: {free_port()}}}\n{text}")
    return "box.yaml"


STREET = {"default": "street"}
BROKEN = """\
models:
  default: {file: half.onnx, labels: coco}
  page: {file: page.onnx}
  empty: {file: empty.onnx}
cameras:
  a: {source: x.mp4}
  b: {source: x.mp4, model: page}
  c: {source: x.mp4, model: empty}
"""
BROKEN_LINES = ["4: models.default.file: ", "5: models.page.file: ", "6: models.empty.file: "]
MISNAMED = """\
models:
  default: street
  two: {file: street, labels: two.txt}
  none: {file: street, labels: none.txt}
tracking: {}
events: {labels: [cra]}
cameras:
  a:
    source: x.mp4
    labels: [person,
      dogg]
    objects:
      Person: {}
    zones:
      door: {polygon: [[0,0],[1,0],[1,1]], labels: [zebra]}
    lines:
      gate: {points: [[0,0],[1,0]], in: [1,1], labels: [buss]}
  b: {source: x.mp4}
"""
MISNAMED_LINES = [
    "8: events.labels[0]: no model has it; did you mean 'car'?",
    "13: cameras.a.labels[1]: model default has no class 'dogg'; did you mean 'dog'?",
    "15: cameras.a.objects.Person: model default has no class 'Person'; did you mean 'person'?",
    "17: cameras.a.zones.door.labels[0]: model default has no class 'zebra'; there are person, bicycle, car, bus, dog",
    "19: cameras.a.lines.gate.labels[0]: model default has no class 'buss'; did you mean 'bus'?",
]
LABELS = "models:\n  default: {file: street, labels: two.txt}\n  none: {file: street, labels: none.txt}\n"
LABELS += "cameras:\n  a: {source: x.mp4}\n  b: {source: x.mp4, model: none}\n"
LABELS_LINES = ["4: models.default.labels: {}/two.txt has 2 labels", "5: models.none.labels: {}/none.txt: holds no"]


@pytest.mark.parametrize(
    ("text", "code", "lines"),
    [(BROKEN, 3, BROKEN_LINES), (MISNAMED, 2, MISNAMED_LINES), (LABELS, 2, LABELS_LINES)],
    ids=["broken", "misnamed", "labels"],
)
def test_what_run_refuses_is_found_before(tmp_path: Path, text: str, code: int, lines: list[str]) -> None:
    street = (ROOT / "engines" / "models" / "street.onnx").read_bytes()
    files = {"half.onnx": street[: len(street) // 2], "page.onnx": b"<!DOCTYPE html>", "empty.onnx": b""}
    files |= {"two.txt": b"cat\ndog\n", "none.txt": b"\n\n"}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    config = written(tmp_path, text)
    run, check, doctor = commands(tmp_path, ["run", config], ["check", config], ["doctor", config, "--json"])
    found = check.stderr.splitlines()
    assert (run.returncode, check.returncode, doctor.returncode) == (code, 2, 2)
    for line, start in zip(found, lines, strict=True):
        assert line.startswith(f"{config}:{start.format(tmp_path)}")
    assert json.loads(doctor.stdout)["configuration"]["problems"] == found
    assert run.stderr.splitlines()[-len(found) :] == found


def test_no_model_is_used_that_was_not_named(tmp_path: Path) -> None:
    """2 is no reason for systemd to start it again; what needs no model goes on."""
    config = written(tmp_path, "cameras:\n  a: {source: x.mp4}\n")
    arguments = (["run", config], ["check", config], ["doctor", config, "--json"], ["detect", "x.png"])
    run, check, doctor, detect = commands(tmp_path, *arguments)
    assert (run.returncode, check.returncode, doctor.returncode) == (2, 2, 2)
    (found,) = check.stderr.splitlines()
    assert found.startswith(f"{config}:1: models.default: no detection model is installed; run: ospreyd model get")
    assert run.stderr.splitlines()[-1:] == json.loads(doctor.stdout)["configuration"]["problems"] == [found]
    assert (detect.returncode, detect.stderr) == (2, f"ospreyd: {found.partition('models.default: ')[2]}\n")
    config = written(tmp_path, "models:\n  default: {confidence: 0.5}\n  c: none.onnx\ncameras: {a: {source: x.mp4}}\n")
    (found,) = ospreyd(tmp_path, "check", config).stderr.splitlines()
    assert found.startswith(f"{config}:5: models.c: the file ")  # the short form has no key `file`
    config = written(tmp_path, "models:\n  default: {confidence: 0.5}\ncameras: {a: {source: x.mp4}}\n")
    assert ospreyd(tmp_path, "check", config).stderr.startswith(f"{config}:4: models.default: no detection model")


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    text = (
        "models:\n  default: street\n  other:\n    file: page.onnx\n"
        "cameras:\n  a: {source: x, labels: [horse]}\n  b: {source: x, model: other, labels: [any]}\n"
    )
    (tmp_path / "page.onnx").write_bytes(b"<html>")
    (tmp_path / "ca.pem").write_text("no certificate")
    (tmp_path / "box.yaml").write_text("device: a\nmqtt: {host: h, tls: {ca: ca.pem}}\n" + text)
    said = json.loads(ospreyd(tmp_path, "check", "box.yaml", "--json").stdout)
    assert not said["valid"]
    lines = said["problems"]
    starts = ["2: mqtt.tls.ca: ", "6: models.other.file: ", "8: cameras.a.labels[0]: "]
    assert [line.startswith(f"box.yaml:{start}") for line, start in zip(lines, starts, strict=True)] == [True] * 3


def test_what_cannot_be_written_is_a_warning_and_the_doctors_problem(tmp_path: Path) -> None:
    """`run` goes on without it and tries again."""
    (tmp_path / "file").touch()
    config = tmp_path / "box.yaml"
    mqtt = {"host": "127.0.0.1", "port": free_port(), "outbox": {"path": "file/events.db"}}
    document = {"device": "a", "mqtt": mqtt, "models": STREET, "cameras": {"c": {"source": "x.mp4"}}}
    config.write_text(yaml.safe_dump(document))
    why = f"mqtt.outbox.path: {tmp_path}/file/events.db cannot be made: {tmp_path}/file is a file, not a folder"
    done = commands(tmp_path, ["check", "box.yaml", "--json"], ["doctor", "box.yaml", "--json"])
    check, problems = json.loads(done[0].stdout), json.loads(done[1].stdout)["problems"]
    assert check["valid"]
    assert [warning.partition(": ")[2] for warning in check["warnings"]] == [why]
    assert [p["problem"] for p in problems if p["what"] == "storage"] == [why]


def test_a_name_that_cannot_be_resolved_is_the_doctors_to_find(tmp_path: Path) -> None:
    config = tmp_path / "box.yaml"
    camera = {"source": "rtsp://camera.invalid/1", "open_timeout": 2}
    document = {"device": "a", "mqtt": {"host": "broker.invalid"}, "models": STREET, "cameras": {"c": camera}}
    config.write_text(yaml.safe_dump(document))
    check, doctor = commands(tmp_path, ["check", "box.yaml"], ["doctor", "box.yaml", "--json"])
    assert check.returncode == 0
    problems = json.loads(doctor.stdout)["problems"]
    by_name = {p["what"]: p["problem"] for p in problems}
    assert "broker.invalid" in by_name["broker"]
    assert "camera.invalid" in by_name["camera c"]


def loaded(folder: Path, **values: Any) -> Any:
    document = {"device": "a", "mqtt": {"host": "h"}, "cameras": {"c": {"source": "0"}}, **values}
    (folder / "x.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    return load(folder / "x.yaml", {"HOST": "broker.local\r\n"})


@pytest.mark.parametrize(
    ("host", "sentence"),
    [
        ("mqtt://broker.local:1883", "must be a host name or address alone (broker.local), not a URL"),
        ("MQTTS://broker.local", "must be a host name or address alone (broker.local), not a URL"),
        ("wss://broker.local/mqtt", "must be a host name or address alone (broker.local), not a URL"),
        ("tcp://u:w0rdA@broker.local", "must be a host name or address alone, not a URL"),
        ("broker.local:1883", "must be a host alone: its port is the key `port`"),
        ("[::1]", "must be a host alone: its port is the key `port`, IPv6 has no brackets"),
        ("broker.local/mqtt", "must be a host name or address, without spaces, / and @"),
        ("my broker", "must be a host name or address, without spaces, / and @"),
        ("u:w0rdA@broker", "must be a host name or address, without spaces, / and @"),
    ],
    ids=range(9),
)
def test_a_host_is_no_url(tmp_path: Path, host: str, sentence: str) -> None:
    for values in ({"mqtt": {"host": host}}, {"service": {"metrics": {"host": host}}}):
        with pytest.raises(ConfigError) as error:
            loaded(tmp_path, **values)
        assert f"host: {sentence}" in str(error.value)
        assert "w0rdA" not in str(error.value)


@pytest.mark.parametrize(
    "host", ["broker", "10.0.0.1", "::1", "fe80::1%eth0", "b\u00fccher.example", "my_host", " broker\u00a0", "\ufeffb"]
)
def test_hosts(tmp_path: Path, host: str) -> None:
    assert loaded(tmp_path, mqtt={"host": host}).mqtt.host == host.strip(" \u00a0\ufeff")


def test_blanks_around_a_value_do_not_count_except_in_a_password(tmp_path: Path) -> None:
    mqtt = {"host": "${HOST}", "port": " 1884 ", "username": " bob\u200b", "password": " pw "}
    camera = {"source": " rtsp://cam/1\r\n", "labels": [" person "]}
    config = loaded(tmp_path, device=" gate ", mqtt=mqtt, cameras={"c": camera})
    assert (config.device, config.mqtt.address, config.mqtt.username) == ("gate", ("broker.local", 1884), "bob")
    assert config.mqtt.password.get_secret_value() == " pw "
    assert (config.cameras["c"].source, config.cameras["c"].labels) == ("rtsp://cam/1", ("person",))


@pytest.mark.parametrize(
    ("source", "read"),
    [
        ("RTSP://cam/Live", "rtsp://cam/Live"),
        ("Https://cam/Live?A=B", "https://cam/Live?A=B"),
        ("rtsp://user:pass w0rd@cam/1", "rtsp://user:pass w0rd@cam/1"),
        ("rtsp://cam:70000/1", "the port of the URL must be a number from 1 to 65535"),
        ("rtsp://cam:0/1", "the port of the URL must be a number from 1 to 65535"),
        ("rtsp://", "the URL has no host"),
        ("http:///1", None),
        ("rtsp:/cam/1", "a URL must begin with rtsp://, rtsps://, http:// or https://"),
        ("user:w0rdA@cam/1", "a URL must begin with rtsp://, rtsps://, http:// or https://"),
        ("rtmp://cam/1", "a URL must begin with rtsp://, rtsps://, http:// or https://"),
    ],
    ids=range(10),
)
def test_urls(tmp_path: Path, source: str, read: str | None) -> None:
    if read is not None and "://" in read and not read.startswith("a URL"):
        assert loaded(tmp_path, cameras={"c": {"source": source}}).cameras["c"].source == read
        return
    with pytest.raises(ConfigError) as error:
        loaded(tmp_path, cameras={"c": {"source": source}})
    assert f"cameras.c.source: {read or 'the URL has no host'}" in str(error.value)
    assert "w0rdA" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "password"),
    [
        (b"s3cret\n", "s3cret"),
        (b"s3cret\r\n", "s3cret"),
        (b"\xef\xbb\xbfs3cret", "s3cret"),
        ("s3cr\u00e4t\r\n".encode("utf-16"), "s3cr\u00e4t"),
        (b" s3 cret \n", " s3 cret "),
    ],
)
def test_a_secret_is_what_its_file_says(tmp_path: Path, content: bytes, password: str) -> None:
    (tmp_path / "pw").write_bytes(content)
    text = "device: a\nmqtt: {host: h, username: u, password: !secret pw}\ncameras: {c: {source: '0'}}\n"
    for encoding in ("utf-8-sig", "utf-16"):
        (tmp_path / "x.yaml").write_bytes(text.replace("\n", "\r\n").encode(encoding))
        config = load(tmp_path / "x.yaml", {"CREDENTIALS_DIRECTORY": str(tmp_path)})
        assert config.mqtt.password is not None
        assert config.mqtt.password.get_secret_value() == password

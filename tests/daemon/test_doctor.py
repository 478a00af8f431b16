"""`ospreyd doctor`: what it says of this machine and of a configuration, and what leaves the machine for support."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import onnxruntime
import pytest
import yaml
from prometheus_client import CollectorRegistry

from daemon.config.schema import Config
from daemon.config.service import Metrics
from daemon.service.http_server import HttpServer
from daemon.service.status import StatusRegistry
from daemon.service.watchdog import Watchdog
from daemon.stats import Stats
from engines.build.cache import EngineCache
from tests.conftest import ROOT
from tests.daemon.capturing import pictures, write_video
from tests.daemon.publishing import INFO
from tests.daemon.several import commands
from tests.servers.mosquitto import HOST, Mosquitto, free_port
from tests.servers.subscriber import Subscriber

SECRETS = {
    "broker": "hunter2-broker",
    "url": "p@ss word-camera",
    "query": "querytoken77",
    "environment": "sekrit-env-42",
    "default": "fallback-31337",
    "credential": "from-systemd-99",
    "comment": "old-password-1",
}


def doctor(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """In `folder`, with its own cache there."""
    done = subprocess.run(
        [sys.executable, "-m", "daemon", "doctor", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "CACHE_DIRECTORY": str(folder / "cache"), **environment},
    )
    assert "Traceback" not in done.stderr
    return done


def report(folder: Path, *arguments: str) -> dict[str, Any]:
    done = doctor(folder, *arguments, "--json")
    assert done.stderr == ""
    return dict(json.loads(done.stdout))


def configuration(folder: Path, broker: int, **more: Any) -> str:
    """With one camera, a short film, unless `more` says otherwise."""
    video = write_video(folder / "film.avi", pictures(3))
    cameras = {"c": {"source": str(video)}}
    mqtt, models = {"host": HOST, "port": broker}, {"default": "street"}
    document = {"device": "a", "mqtt": mqtt, "models": models, "cameras": cameras, **more}
    file = folder / "box.yaml"
    file.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return str(file)


def stopping(said: dict[str, Any]) -> list[str]:
    return [problem["what"] for problem in said["problems"] if problem["stops"]]


def test_says_what_is_here_and_what_would_run(tmp_path: Path) -> None:
    said = report(tmp_path)
    assert said["system"]["cpus"] >= 1
    assert 0 < said["memory"]["available"] <= said["memory"]["total"]
    assert 0 < said["disk"]["free"] <= said["disk"]["total"]
    assert said["opencv"]["version"] == cv2.__version__
    assert said["opencv"]["ffmpeg"] is True
    assert said["opencv"]["v4l2"] is True
    assert list(said["backends"]) == ["tensorrt", "tensorrt_rtx", "onnxruntime"]
    assert said["backends"]["onnxruntime"]["version"] == onnxruntime.__version__
    assert said["chosen"]["name"] in said["backends"]
    assert said["chosen"]["reason"]
    assert said["gpu"].keys() >= {"driver", "pycuda", "cuda_bindings", "gpu", "problem"}
    assert said["cache"] == {"folder": str(tmp_path / "cache"), "engines": 0, "bytes": 0, "problem": None}
    assert stopping(said) == []
    assert not (tmp_path / "cache").exists(), "looking made something"


def test_says_the_same_in_lines_for_people(tmp_path: Path) -> None:
    EngineCache(tmp_path / "cache").get({"of": "nothing"}, ".plan", lambda: bytes(3_000_000))
    done = doctor(tmp_path)
    assert done.returncode == 0
    table = done.stdout.partition("\n\n")[0]
    lines = dict(line.split(maxsplit=1) for line in table.splitlines())
    backends = ["tensorrt", "tensorrt_rtx", "onnxruntime"]
    machine = ["system", "packages", "memory", "disk", "opencv", "gpu", "nvdec"]
    assert list(lines) == [*machine, *backends, "chosen", "cache", "models"]
    assert lines["onnxruntime"] == f"works, version {onnxruntime.__version__}"
    assert lines["cache"] == f"{tmp_path}/cache: 1 engine, 3 MB"


def test_a_broker_that_lets_in_and_a_camera_that_shows_something(
    broker: Mosquitto, subscriber: Subscriber, tmp_path: Path
) -> None:
    film = {"source": str(write_video(tmp_path / "film.avi", pictures(3))), "hw_acceleration": "nvdec"}
    said = report(tmp_path, configuration(tmp_path, broker.port, cameras={"c": film}))
    assert said["broker"]["connected"] is True
    assert said["cameras"]["c"]["width"] == 64
    if said["nvdec"]["problem"] is not None:
        assert said["cameras"]["c"]["fallback"].startswith(said["nvdec"]["problem"])
        assert said["cameras"]["c"]["hw_acceleration"] == "none"
        assert [problem["stops"] for problem in said["problems"] if problem["what"] == "camera c"] == [False]
    assert stopping(said) == []
    assert [m for m in subscriber.messages() if m.payload] == [], "subscribers saw the doctor"


def test_every_problem_is_reported_with_its_fix(tmp_path: Path) -> None:
    cameras = {
        "gone": {"source": f"rtsp://viewer:{SECRETS['broker']}@{HOST}:{free_port()}/1"},
        "lost": {"source": "/nowhere/film.mp4"},
        "shut": {"source": "/nowhere/either.mp4", "enabled": False},
    }
    done = doctor(tmp_path, configuration(tmp_path, free_port(), cameras=cameras), "--json")
    said = json.loads(done.stdout)
    assert done.returncode == 1
    assert stopping(said) == ["broker", "camera gone", "camera lost"]
    assert all(problem["fix"] for problem in said["problems"])
    assert said["cameras"]["gone"]["reason"] == "refused"
    assert said["cameras"]["lost"]["problem"] == "/nowhere/film.mp4 does not exist"
    assert SECRETS["broker"] not in done.stdout + done.stderr


@contextmanager
def served(device: str, port: int) -> Iterator[None]:
    """As by a daemon of that device."""
    config = Config.model_validate({"device": device, "mqtt": {"host": HOST}, "cameras": {"c": {"source": "x"}}})
    service = Watchdog(StatusRegistry(config, INFO, Stats(), lambda: True), failed)
    server = HttpServer(Metrics(port=port), service, CollectorRegistry(), failed)
    server.start()
    yield
    server.stop()
    assert server.join(20)


def failed(error: BaseException) -> None:
    raise error


def test_a_port_for_metrics_that_somebody_else_has_is_told(broker: Mosquitto, tmp_path: Path) -> None:
    """It stops nothing, as it stops no daemon; the daemon that runs is no surprise."""
    ports = {who: free_port() for who in ("nobody", "this daemon", "another daemon", "a program", "no address")}
    arguments = []
    for who, port in ports.items():
        metrics = {"port": port, **({"host": "192.0.2.1"} if who == "no address" else {})}
        (tmp_path / who).mkdir()
        config = configuration(tmp_path / who, broker.port, service={"metrics": metrics})
        arguments.append(["doctor", config, "--json"])
    with (
        served("a", ports["this daemon"]),
        served("b", ports["another daemon"]),
        socket.create_server((HOST, ports["a program"])),
    ):
        found = commands(tmp_path, *arguments, CACHE_DIRECTORY=str(tmp_path / "cache"))
    for who, done in zip(ports, found, strict=True):
        assert done.returncode == 0
        of_metrics(json.loads(done.stdout), who, ports[who])


def of_metrics(said: dict[str, Any], who: str, port: int) -> None:
    """Tells what is wrong with the port that `who` has."""
    problems = [(p["problem"], p["fix"]) for p in said["problems"] if p["what"] == "metrics"]
    fix = "set another service.metrics.port, or service.metrics: null; who has this one: ss -ltnp"
    cost = "; without it there are no metrics and no health checks"
    why = {
        "another daemon": f"{HOST} port {port} cannot be listened on: ospreyd of the device b has it",
        "a program": f"{HOST} port {port} cannot be listened on: Address already in use",
        "no address": f"192.0.2.1 port {port} cannot be listened on: Cannot assign requested address",
    }
    assert problems == ([(why[who] + cost, fix)] if who in why else [])
    assert said["metrics"]["port"] == port


def test_a_login_that_the_broker_refuses_is_told(tmp_path: Path) -> None:
    with Mosquitto(tmp_path, users={"bob": "right"}) as broker:
        mqtt = {"host": HOST, "port": broker.port, "username": "bob", "password": SECRETS["broker"]}
        done = doctor(tmp_path, configuration(tmp_path, broker.port, mqtt=mqtt))
    assert done.returncode == 1
    assert "refused the login" in done.stdout
    assert SECRETS["broker"] not in done.stdout + done.stderr


def test_a_cache_that_is_not_safe_is_told(broker: Mosquitto, tmp_path: Path) -> None:
    unsafe = tmp_path / "engines"
    unsafe.mkdir()
    unsafe.chmod(0o777)
    config = configuration(tmp_path, broker.port, inference={"backend": "onnxruntime", "cache": "engines"})
    said = report(tmp_path, config)
    assert said["chosen"]["reason"] == "it was asked for"
    assert said["cache"]["problem"].endswith(f"chmod 700 {unsafe}")
    assert stopping(said) == ["cache"]


@pytest.mark.parametrize("backend", ["tensorrt", "tensorrt_rtx"])
def test_exit_code_3_where_the_backend_of_the_configuration_does_not_work(
    backend: str, broker: Mosquitto, tmp_path: Path
) -> None:
    done = doctor(tmp_path, configuration(tmp_path, broker.port, inference={"backend": backend}), "--json")
    said = json.loads(done.stdout)
    if said["backends"][backend]["problem"] is None:
        pytest.skip(f"{backend} works here")
    assert done.returncode == 3
    assert said["chosen"]["problem"].startswith(f"the backend {backend} does not work here: ")


def test_every_mistake_in_the_configuration_is_told_and_the_machine_looked_at_nevertheless(tmp_path: Path) -> None:
    config = configuration(tmp_path, 1, inference={"backend": "cuda"}, camera={})
    done = doctor(tmp_path, config, "--json")
    said = json.loads(done.stdout)
    assert done.returncode == 2
    assert stopping(said) == ["configuration", "configuration"]
    mistakes = "\n".join(said["configuration"]["problems"])
    assert "inference.backend: must be one of auto, tensorrt, tensorrt_rtx, onnxruntime, got 'cuda'" in mistakes
    assert "camera: is not a known key" in mistakes
    assert said["backends"]["onnxruntime"]["problem"] is None


def secretive(folder: Path, mistake: str) -> str:
    """A configuration that has a secret in every place where one can be."""
    (folder / "credentials").mkdir()
    (folder / "credentials" / "camera").write_text(SECRETS["credential"] + "\n")
    file = folder / "box.yaml"
    file.write_text(
        f"""# before: {SECRETS["comment"]}
device: a
mqtt: {{host: {HOST}, port: {free_port()}, username: bob, password: "{SECRETS["broker"]}"}}
models: {{default: street}}
cameras:
  one: {{source: "rtsp://viewer:p%40ss%20word-camera@{HOST}:{free_port()}/1?auth={SECRETS["query"]}"}}
  two: {{source: "http://viewer:${{CAMERA_PASSWORD:-{SECRETS["default"]}}}@{HOST}:{free_port()}/2"}}
  three: {{source: !secret camera}}
  four: {{source: "rtsp://${{LOGIN}}@{HOST}:{free_port()}/4"}}
{mistake}""",
        encoding="utf-8",
    )
    return str(file)


@pytest.mark.parametrize("mistake", ["", "inferense: {}\n", "}\n"], ids=["valid", "mistaken", "no YAML"])
def test_the_bundle_holds_no_secret(mistake: str, tmp_path: Path) -> None:
    config = secretive(tmp_path, mistake)
    environment = {
        "LOGIN": f"admin:{SECRETS['environment']}",
        "MY_API_TOKEN": SECRETS["environment"],
        "CREDENTIALS_DIRECTORY": str(tmp_path / "credentials"),
    }
    done = doctor(tmp_path, config, "--bundle", "support.tar.gz", **environment)
    bundle = tmp_path / "support.tar.gz"
    assert bundle.stat().st_mode & 0o077 == 0
    with tarfile.open(bundle) as archive:
        parts = {member.name.rpartition("/")[2]: archive.extractfile(member) for member in archive.getmembers()}
        texts = {name: part.read().decode() for name, part in parts.items() if part is not None}
    assert texts.keys() == {
        "report.json",
        "report.txt",
        "configuration.yaml",
        "environment.txt",
        "packages.txt",
        "journal.txt",
    }
    everything = "\n".join(texts.values())
    assert [what for what, secret in SECRETS.items() if secret in everything] == []
    assert "p%40ss" not in everything
    assert "MY_API_TOKEN" in texts["environment.txt"], "names are no secrets"
    assert json.loads(texts["report.json"])["system"]["cpus"] >= 1
    assert ("device: a" in texts["configuration.yaml"]) is (mistake != "}\n")
    assert done.returncode == (2 if mistake else 1)


def test_a_bundle_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "support.tar.gz").write_text("precious")
    done = doctor(tmp_path, "--bundle", "support.tar.gz")
    assert done.returncode == 2
    assert done.stderr == "ospreyd: --bundle: support.tar.gz is there already; name another file\n"
    assert (tmp_path / "support.tar.gz").read_text() == "precious"

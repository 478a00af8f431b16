"""docs/quickstart.md, followed to the letter: a mirror for the internet, and an RTSP server for the camera."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT
from tests.daemon.running import stop
from tests.servers.model_server import ModelServer, entry
from tests.servers.mosquitto import Mosquitto
from tests.servers.rtsp import RtspServer, need_rtsp
from tests.servers.subscriber import Message, Subscriber

TEXT = (ROOT / "docs" / "quickstart.md").read_text(encoding="utf-8")
TOPIC = "ospreyd/gate-01/front/detections"


def said_after(command: str) -> list[str]:
    """What the document shows that a command says."""
    shown = TEXT.partition(f"$ {command}\n")[2].partition("\n\n")[0]
    return [line.strip() for line in shown.splitlines()]


def pattern(line: str, model: str) -> str:
    """Of what a line of the document is here: other paths, sizes and hosts, and the model that fits this machine."""
    known = re.escape(line).replace("yolox\\-nano", model)
    known = re.sub(r"/home\S+?(?=/models/)", r"\\S+", known)
    return re.sub(r"\d+ CPU.*|3\\\.7\\ MB\\ from\\ github\\\.com", ".+", known)


def ospreyd(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-m", "daemon", *arguments], stdout=subprocess.PIPE, text=True)


def says(command: str, model: str, *more: str) -> None:
    """Runs a command of the document: it succeeds, and says what is shown there."""
    process = ospreyd(*command.split()[1:], *more)
    said = process.communicate(timeout=100)[0].splitlines()
    assert process.returncode == 0, said
    for line, shown in zip(said, said_after(command), strict=True):
        assert re.fullmatch(pattern(shown, model), line), (line, shown)


def persons(messages: list[Message]) -> bool:
    seen: list[dict[str, Any]] = [thing for m in messages if m.topic == TOPIC for thing in m.json()["objects"]]
    return len([thing for thing in seen if thing["label"] == "person"]) > 3


@pytest.mark.timeout(300)
def test_from_nothing_to_detections(
    broker: Mosquitto, subscriber: Subscriber, material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_rtsp()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    data = (material / "models" / "yolox_nano_416.onnx").read_bytes()
    with ModelServer(data) as mirror, RtspServer(video=material / "videos" / "vtest_pets_480x360.avi") as camera:
        monkeypatch.setenv("OSPREYD_MODEL_MIRROR", mirror.url)
        monkeypatch.delenv("OSPREYD_OFFLINE", raising=False)
        told = {"labels": "coco", "imgsz": [416, 416], "url": "https://localhost:1/x.onnx", "author": "Megvii"}
        fitting = {
            name: entry(mirror, data, **{**told, "trained_on": "COCO 2017"})
            for name in ("yolox-nano", "yolox-tiny", "yolox-s")
        }
        Path("catalogue.yaml").write_text(yaml.safe_dump(fitting))
        says("ospreyd model get", "yolox-(nano|tiny|s)", "--catalogue", "catalogue.yaml")
        written = re.search(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
        assert written is not None
        text = "\n".join(line.removeprefix("   ") for line in written[1].splitlines())
        text = text.replace("rtsp://camera.local/stream1", camera.url())
        Path("gate.yaml").write_text(text.replace("host: localhost", f"host: 127.0.0.1, port: {broker.port}"))
        says("ospreyd check gate.yaml", "yolox-(nano|tiny|s)")
        with ospreyd("run", "gate.yaml") as daemon, ospreyd("watch", "gate.yaml", "--json") as watching:
            try:
                subscriber.wait(persons, "persons who are seen", 120)
                assert watching.stdout is not None
                assert any('"front"' in line and "person" in line for line in watching.stdout)
                stop(daemon)
            finally:
                watching.kill()
                daemon.kill()


def test_the_readme_begins_with_a_model() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    use = text.partition("## Use it")[2].partition("\n## ")[0]
    commands = [line.strip() for line in use.splitlines() if line.startswith("    ospreyd ")]
    assert commands[0] == "ospreyd model get"

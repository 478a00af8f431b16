"""A running daemon takes a model that was installed meanwhile at its next reload, and goes on where one is removed."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from typing import Any

from daemon.cli.main import run_cli
from daemon.demo.film import Shot, film
from daemon.modelstore import inventory
from engines.models import street_onnx
from tests.daemon.running import TOPICS, box, daemon, stop
from tests.servers.mosquitto import Mosquitto
from tests.servers.subscriber import Message, Subscriber


def add(name: str) -> str:
    assert run_cli(["model", "add", str(street_onnx()), "--name", name, "--default"]) == 0
    return inventory.find(name).file


def default_of(messages: list[Message]) -> dict[str, Any]:
    """What the device said last of its model."""
    said = [m.json() for m in messages if m.topic == f"{TOPICS}/info"]
    return dict(said[-1]["models"]["default"]) if said else {}


def runs(file: str, messages: list[Message]) -> bool:
    model = default_of(messages)
    return (model.get("file"), model.get("state")) == (file, "ready")


def test_the_installed_default_is_exchanged(broker: Mosquitto, subscriber: Subscriber, tmp_path: Path) -> None:
    street = film(Shot("street", 320, 240, 5.0, seed=21), tmp_path / "street.mp4", 2.0)
    first = add("first")
    document = box(broker, {"film": {"source": str(street.file), "loop": True}})
    del document["models"]
    with daemon(tmp_path, document) as process:
        subscriber.wait(lambda messages: runs(first, messages), f"{first} to be ready", 60)
        second = add("second")
        process.send_signal(signal.SIGHUP)
        subscriber.wait(lambda messages: runs(second, messages), f"{second} to be ready", 60)
        assert run_cli(["model", "remove", "first"]) == 0
        shutil.rmtree(inventory.own_folder())
        process.send_signal(signal.SIGHUP)

        def refused(messages: list[Message]) -> bool:
            said = [m.json() for m in messages if m.topic == f"{TOPICS}/info"]
            return any("no detection model is installed" in e for e in said[-1]["configuration"]["errors"] or ())

        subscriber.wait(refused, "the reload to be refused", 60)
        assert runs(second, subscriber.messages())
        stop(process)

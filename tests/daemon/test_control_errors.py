"""Commands and reloads that fail, in a real daemon."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import pytest
import yaml

from engines.models import street_onnx
from tests.conftest import ROOT
from tests.daemon.failing_daemon import FAIL
from tests.daemon.running import TOPICS, box, daemon, detections_of, has, state_of, stop
from tests.servers.mosquitto import HOST, Mosquitto
from tests.servers.subscriber import Subscriber

Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def ask(subscriber: Subscriber) -> Ask:
    """Sends a command and returns its answer."""
    numbers = itertools.count()

    def asked(topic: str, payload: str = "") -> dict[str, Any]:
        reply = f"me/{next(numbers)}"
        subscriber.publish(f"{TOPICS}/{topic}", payload, response_topic=reply)
        answer: dict[str, Any] = subscriber.wait_for(reply).json()
        return answer

    return asked


def written(broker: Mosquitto, folder: Path, cameras: dict[str, dict[str, Any]], **more: Any) -> dict[str, Any]:
    """A configuration whose cameras show one picture again and again."""
    pictures = folder / "pictures"
    pictures.mkdir()
    street = cv2.imread(os.fspath(ROOT / "docs" / "demo.jpg"))
    assert street is not None
    cv2.imwrite(str(pictures / "0.png"), cv2.resize(street, (416, 256)))
    shown = {name: {"source": str(pictures), "loop": True, "fps": 10, **camera} for name, camera in cameras.items()}
    return box(broker, shown, inference={"backend": "onnxruntime", "threads": 1, "cache": "engines"}, **more)


def failed(camera: str, messages: list[Any]) -> bool:
    return bool(state_of(messages, camera)["reason"] == "model-failed")


def test_set_with_a_failed_model_and_labels(
    broker: Mosquitto, subscriber: Subscriber, ask: Ask, tmp_path: Path
) -> None:
    (tmp_path / "few").mkdir()  # too few pictures to calibrate on
    models = {"default": "street", "broken": {"file": "street", "precision": "int8", "calibration": "few"}}
    cameras = {"front": {}, "yard": {"model": "broken", "labels": ["person"]}}
    with daemon(tmp_path, written(broker, tmp_path, cameras, models=models)) as process:
        subscriber.wait(partial(failed, "yard"), "the model to fail", 60)
        assert ask("front/set/fps", "5")["ok"]
        assert ask("yard/set/enabled", "false")["ok"]
        subscriber.wait(lambda messages: state_of(messages, "yard")["state"] == "disabled", "the camera's state")
        assert ask("yard/set/enabled", "true")["ok"]
        subscriber.wait(partial(failed, "yard"), "the camera's state")
        assert ask("command/reload")["ok"]
        count = len(detections_of(subscriber, "front"))
        subscriber.wait(partial(has, count + 1, "front"), "the other camera to go on")
        stop(process)


def test_unexpected_error_rolls_back(broker: Mosquitto, subscriber: Subscriber, ask: Ask, tmp_path: Path) -> None:
    document = written(broker, tmp_path, {"front": {}, "yard": {}})
    without_yard = {**document, "cameras": {"front": document["cameras"]["front"], "new": document["cameras"]["yard"]}}
    refused = {"ok": False, "detail": "internal error"}

    def goes_on(camera: str) -> None:
        count = len(detections_of(subscriber, camera))
        subscriber.wait(partial(has, count + 1, camera), f"{camera} to go on")

    def fps() -> object:
        return subscriber.messages(f"{TOPICS}/front/state/fps")[-1].json()["value"]

    with daemon(tmp_path, document, "tests.daemon.failing_daemon") as process:
        subscriber.wait(partial(has, 1, "yard"), "detections", 60)
        assert ask("front/set/fps", "5")["ok"]
        (tmp_path / FAIL).touch()
        assert ask("front/set/fps", "7").items() >= refused.items()
        assert fps() == 5.0
        goes_on("front")

        (tmp_path / FAIL).touch()
        (tmp_path / "box.yaml").write_text(yaml.safe_dump(without_yard))
        subscriber.wait(lambda _: not (tmp_path / FAIL).exists(), "the daemon to notice the file")
        subscriber.wait(lambda _: errors(subscriber), "the refusal in info")
        for camera in ("front", "yard"):
            goes_on(camera)
        assert fps() == 5.0
        assert subscriber.messages(f"{TOPICS}/info")[-1].json()["cameras"] == ["front", "yard"]
        with Subscriber(HOST, broker.port) as late:
            late.wait_for(f"{TOPICS}/yard/state/fps")
            assert not late.messages(f"{TOPICS}/new/status")

        (tmp_path / FAIL).touch()
        assert ask("command/reload").items() >= refused.items()
        goes_on("yard")
        answer = ask("command/reload")
        assert answer["ok"]
        assert "cameras added: new; removed: yard" in answer["detail"]
        subscriber.wait_for(f"{TOPICS}/yard/state/fps", b"")
        subscriber.wait(lambda _: not errors(subscriber), "the end of the refusal in info")
        assert fps() == 5.0
        goes_on("new")
        stop(process)
    assert (tmp_path / "log").read_text().count("KeyError: 'a mistake'") == 3


def test_rolls_back_to_models_whose_files_are_gone(broker: Mosquitto, subscriber: Subscriber, tmp_path: Path) -> None:
    """To what it ran, and what had failed: their files are not read again."""
    (tmp_path / "few").mkdir()  # too few pictures to calibrate on
    for name in "ab":
        shutil.copy(street_onnx(), tmp_path / f"{name}.onnx")
    models = {"default": {"file": "a.onnx"}, "broken": {"file": "a.onnx", "precision": "int8", "calibration": "few"}}
    document = written(broker, tmp_path, {"front": {}, "yard": {"model": "broken"}}, models=models)
    with daemon(tmp_path, document, "tests.daemon.failing_daemon") as process:
        subscriber.wait(partial(failed, "yard"), "the model to fail", 60)
        subscriber.wait(partial(has, 1, "front"), "detections", 60)
        for model in models.values():
            model["file"] = "b.onnx"
        (tmp_path / "a.onnx").unlink()
        (tmp_path / FAIL).touch()
        (tmp_path / "box.yaml").write_text(yaml.safe_dump(document))
        subscriber.wait(lambda _: errors(subscriber), "the refusal in info")
        subscriber.wait(partial(failed, "yard"), "the model to fail again", 60)
        count = len(detections_of(subscriber, "front"))
        subscriber.wait(partial(has, count + 1, "front"), "the camera to go on")
        assert subscriber.messages(f"{TOPICS}/info")[-1].json()["models"]["default"]["file"] == "a.onnx"
        stop(process)


def errors(subscriber: Subscriber) -> list[str]:
    """What `info` says is wrong with the configuration file."""
    found: list[str] = subscriber.messages(f"{TOPICS}/info")[-1].json()["configuration"]["errors"]
    return found

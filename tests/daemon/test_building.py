"""The daemon does not wait for a model that is being built: real calibration, in real daemons."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import pytest

from daemon.demo.film import Film, Shot, film
from daemon.demo.street.generator import StreetScene
from tests.conftest import PATIENCE, wait_for
from tests.daemon.running import (
    TOPICS,
    box,
    daemon,
    detections_of,
    every_message_fits_its_schema,
    has,
    state_of,
    stop,
)
from tests.servers.mosquitto import Mosquitto
from tests.servers.subscriber import Message, Subscriber


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Film:
    """Two seconds of the drawn street."""
    return film(Shot("street", 416, 256, 10.0, seed=21), tmp_path_factory.mktemp("film") / "street.mp4", 2.0)


def document(broker: Mosquitto, street: Film, folder: Path, pictures: int) -> dict[str, Any]:
    """Of a model that runs at once, with the camera `now`, and one that has to be calibrated, with `later`."""
    scenes = folder / "scenes"
    scenes.mkdir()
    cv2.imwrite(str(folder / "street.png"), StreetScene(416, 256, seed=3).render(4.0)[0])
    for number in range(pictures):
        (scenes / f"{number:04}.png").hardlink_to(folder / "street.png")
    models = {"default": "street", "slow": {"file": "street", "precision": "int8", "calibration": "scenes"}}
    cameras = {
        "now": {"source": str(street.file), "loop": True},
        "later": {"source": str(street.file), "pace": "as-fast-as-possible", "model": "slow", "loop": True},
        "off": {"source": str(street.file), "model": "slow", "enabled": False},
    }
    inference = {"cache": "engines", "backend": "onnxruntime"}
    written = box(broker, cameras, models=models, inference=inference)
    written["mqtt"]["stats_every"] = 1
    return written


ENDLESS = 3000
"""pictures; calibrating on them takes longer than any test"""


def said_of(messages: list[Message], model: str) -> list[dict[str, Any]]:
    """What `info` has said of a model, in its order."""
    return [m.json()["models"][model] for m in messages if m.topic == f"{TOPICS}/info"]


def is_in(state: str, model: str, messages: list[Message]) -> bool:
    return any(said["state"] == state for said in said_of(messages, model))


def is_calibrating(model: str, messages: list[Message]) -> bool:
    return any(said["detail"] == "calibrating" for said in said_of(messages, model))


def has_failed(camera: str, messages: list[Message]) -> bool:
    """Whether it is said last that the camera is closed because of its model."""
    return bool(state_of(messages, camera)["reason"] == "model-failed")


def builders(pid: int) -> list[int]:
    """The processes in which a daemon builds."""
    children = [c for task in Path(f"/proc/{pid}/task").iterdir() for c in (task / "children").read_text().split()]
    return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def calibrating(subscriber: Subscriber, process: subprocess.Popen[str]) -> int:
    """Waits until a daemon builds, while the other model runs; in which process."""
    subscriber.wait(partial(is_calibrating, "slow"), "the calibration")
    subscriber.wait(partial(has, 1, "now"), "the other model")
    (builder,) = builders(process.pid)
    return builder


@pytest.mark.timeout(600)  # it waits for a build that makes progress
def test_one_model_runs_while_another_is_built(
    broker: Mosquitto, subscriber: Subscriber, street: Film, tmp_path: Path
) -> None:
    written = document(broker, street, tmp_path, 80)
    with daemon(tmp_path, written) as process:
        slow = partial(said_of, model="slow")
        subscriber.wait_while_progressing(partial(is_in, "ready", "slow"), slow, "the slow model")
        subscriber.wait(partial(has, 30, "later"), "frames for it")
        subscriber.wait_for(f"{TOPICS}/stats")
        assert stop(process) < 5
    messages = subscriber.messages()
    ready = next(i for i, m in enumerate(messages) if m.topic == f"{TOPICS}/info" and is_in("ready", "slow", [m]))
    assert has(1, "now", messages[:ready]), "the other model waited"
    assert not has(1, "later", messages[:ready])
    said = said_of(messages, "slow")
    percents = [s["progress"] for s in said if s["detail"] == "calibrating"]
    assert len(percents) >= 2
    assert percents == sorted(set(percents))
    assert said[-1] == {**said[0], "state": "ready", "progress": None, "detail": ""}
    assert said[-1]["precision"] == "int8"
    sequences = [m["sequence"] for m in detections_of(subscriber, "later")]
    assert sequences == list(range(1, len(sequences) + 1)), "frames of a file wait for their model"
    every_message_fits_its_schema(messages)
    with daemon(tmp_path, {**written, "device": "again"}) as process:
        subscriber.wait(is_there_again, "the same engine from the cache")
        assert not builders(process.pid)
        stop(process)


def is_there_again(messages: list[Message]) -> bool:
    """Whether the device `again` runs the slow model, and has not calibrated it."""
    said = [m.json()["models"]["slow"] for m in messages if m.topic == "ospreyd/again/info"]
    assert not any(s["detail"] == "calibrating" for s in said)
    return bool(said) and bool(said[-1]["state"] == "ready")


def test_a_build_that_is_killed_costs_only_its_own_cameras(
    broker: Mosquitto, subscriber: Subscriber, street: Film, tmp_path: Path
) -> None:
    with daemon(tmp_path, document(broker, street, tmp_path, ENDLESS)) as process:
        os.kill(calibrating(subscriber, process), signal.SIGKILL)
        subscriber.wait(partial(has_failed, "later"), "the camera's state")
        subscriber.wait(partial(is_in, "failed", "slow"), "the model's state")
        count = len(detections_of(subscriber, "now"))
        subscriber.wait(partial(has, count + 20, "now"), "the other camera to go on")
        assert stop(process) < 5
    failed = said_of(subscriber.messages(), "slow")[-1]
    assert failed["detail"].startswith("the process that built it was killed, probably out of memory")
    state = state_of(subscriber.messages(), "later")
    assert (state["state"], state["detail"]) == ("offline", f"its model slow failed: {failed['detail']}")
    assert state_of(subscriber.messages(), "off")["state"] == "disabled"
    assert not detections_of(subscriber, "later")
    every_message_fits_its_schema(subscriber.messages())
    log = (tmp_path / "log").read_text()
    assert [line.split(" ERROR   ")[1] for line in log.splitlines() if " ERROR " in line] == [
        f"model slow: {failed['detail']}"
    ]


def test_stopping_does_not_wait_for_a_build(
    broker: Mosquitto, subscriber: Subscriber, street: Film, tmp_path: Path
) -> None:
    with daemon(tmp_path, document(broker, street, tmp_path, ENDLESS)) as process:
        builder = calibrating(subscriber, process)
        assert stop(process) < 5
        wait_for(lambda: not Path(f"/proc/{builder}").exists(), "the end of the process that built")
    assert not is_in("failed", "slow", subscriber.messages())
    assert (tmp_path / "log").read_text().splitlines()[-1].endswith("stopped")


def read_to_the_end(server: socket.socket, connections: int) -> None:
    """Takes so many connections, each until the other side closes it."""
    server.settimeout(PATIENCE)
    for _ in range(connections):
        with server.accept()[0] as connection:
            connection.settimeout(PATIENCE)
            while connection.recv(4096):
                pass


def test_a_daemon_whose_only_model_fails_stays_and_says_why(
    broker: Mosquitto, subscriber: Subscriber, street: Film, tmp_path: Path
) -> None:
    """Starting again would end the same way, and nobody who asks the broker would be told."""
    written = document(broker, street, tmp_path, 3)
    del written["cameras"]["now"]
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hung = f"rtsp://127.0.0.1:{silent.getsockname()[1]}/x"
        written["cameras"]["hung"] = {"source": hung, "model": "slow", "open_timeout": 2}
        with daemon(tmp_path, written) as process:
            for camera in ("later", "hung"):
                subscriber.wait(partial(has_failed, camera), f"the state of {camera}")
            subscriber.wait(partial(is_in, "failed", "slow"), "the model's state")
            captured_until = captured(subscriber)
            read_to_the_end(silent, 2)  # the last try of the camera that hung, and asking why it failed
            assert captured(subscriber) == captured_until, "nobody looks at what is captured"
            assert process.poll() is None
            assert stop(process) < 5
    failed = said_of(subscriber.messages(), "slow")[-1]
    assert failed["detail"].startswith(f"{tmp_path}/scenes: has 3 ")
    assert has_failed("hung", subscriber.messages()), "it is offline because of its model"


def test_a_failed_model_is_built_when_that_is_asked_for(
    broker: Mosquitto, subscriber: Subscriber, street: Film, tmp_path: Path
) -> None:
    """After its calibration images have been added; its cameras are opened again, without a restart or a reload."""
    written = document(broker, street, tmp_path, 3)
    with daemon(tmp_path, written) as process:
        subscriber.wait(partial(has_failed, "later"), "the failure")
        for number in range(3, 32):
            (tmp_path / "scenes" / f"{number:04}.png").hardlink_to(tmp_path / "street.png")
        subscriber.publish(f"{TOPICS}/command/build-engine", '{"model":"slow"}')
        subscriber.wait_while_progressing(partial(is_in, "ready", "slow"), partial(said_of, model="slow"), "the model")
        subscriber.wait(partial(has, 1, "later"), "frames for it")
        assert stop(process) < 5
    (answer,) = subscriber.messages(f"{TOPICS}/answer")
    assert answer.json()["ok"]


def captured(subscriber: Subscriber) -> int:
    """Frames of the camera `later` captured until the next report."""
    count = len(subscriber.messages(f"{TOPICS}/stats"))
    subscriber.wait(lambda _: len(subscriber.messages(f"{TOPICS}/stats")) > count, "a report")
    return int(subscriber.messages(f"{TOPICS}/stats")[-1].json()["cameras"]["later"]["captured"])

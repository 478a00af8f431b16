"""A daemon whose configuration is changed while it runs: a process, real cameras, a real broker."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import pytest
import yaml

from daemon.demo.film import Film, Shot, film
from tests.conftest import wait_for
from tests.daemon.running import TOPICS, box, daemon, detections_of, has, state_of, stop
from tests.servers.mosquitto import Mosquitto
from tests.servers.subscriber import Message, Subscriber

INFO = f"{TOPICS}/info"
Document = dict[str, Any]


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Film:
    """Two seconds of the drawn street."""
    return film(Shot("street", 416, 256, 15.0, seed=21), tmp_path_factory.mktemp("film") / "street.mp4", 2.0)


def write(folder: Path, document: Document) -> None:
    """As editors do: a new file takes the place of the old one."""
    (folder / "new").write_text(yaml.safe_dump(document))
    (folder / "new").replace(folder / "box.yaml")


def reload(process: subprocess.Popen[str], folder: Path, document: Document) -> None:
    write(folder, document)
    process.send_signal(signal.SIGHUP)


def info_of(messages: list[Message]) -> Any:
    """What was said last of the device."""
    found = [m for m in messages if m.topic == INFO]
    return found[-1].json() if found else None


def last_of(messages: list[Message], topic: str) -> bytes | None:
    found = [m.payload for m in messages if m.topic == topic]
    return found[-1] if found else None


def nothing_was_lost(subscriber: Subscriber, camera: str) -> None:
    """Every frame has come, in its order and from one connection, but for those that are counted as dropped."""
    sequences = [m["sequence"] for m in detections_of(subscriber, camera)]
    assert sequences == sorted(set(sequences))
    missing = sequences[-1] - sequences[0] + 1 - len(sequences)
    counted = subscriber.messages(f"{TOPICS}/stats")[-1].json()["cameras"][camera]
    assert missing <= sum(counted["dropped"].values())
    assert counted["connections"] == 1


def still_comes(subscriber: Subscriber, camera: str, frames: int = 10) -> None:
    before = len(detections_of(subscriber, camera))
    subscriber.wait(partial(has, before + frames, camera), f"{frames} more frames of {camera}", 40)


def everything(cameras: dict[str, Any], broker: Mosquitto, **more: Any) -> Document:
    """Waits long enough for frames not to be dropped on a busy machine, on the CPU."""
    inference = {"backend": "onnxruntime", "max_age_ms": 20000, **more.pop("inference", {})}
    document = box(broker, cameras, inference=inference, **more)
    document["mqtt"]["stats_every"] = 0.5
    return document


def test_cameras_come_change_and_go_beside_one_that_loses_nothing(
    broker: Mosquitto, subscriber: Subscriber, street: Film, tmp_path: Path
) -> None:
    file = {"source": str(street.file), "loop": True, "fps": 5}
    document = everything({"a": file, "b": file}, broker)
    with daemon(tmp_path, document) as process:
        for camera in "ab":
            still_comes(subscriber, camera)
        document["cameras"] |= {"c": file, "off": {**file, "enabled": False}}
        reload(process, tmp_path, document)
        subscriber.wait(lambda m: state_of(m, "off")["state"] == "disabled", "the state of a camera that is not opened")
        del document["cameras"]["off"]
        still_comes(subscriber, "c")
        subscriber.wait_for(f"{TOPICS}/c/state/fps")
        subscriber.wait(lambda m: info_of(m)["cameras"] == ["a", "b", "c", "off"], "the cameras in the info")

        document["cameras"]["c"] = {**file, "resize": [200, 100], "fps": 8}
        reload(process, tmp_path, document)
        wait_for(lambda: detections_of(subscriber, "c")[-1]["frame"]["width"] == 200, "the smaller pictures")

        document["cameras"]["c"] = {**file, "enabled": False}
        reload(process, tmp_path, document)
        subscriber.wait(lambda m: state_of(m, "c")["state"] == "disabled", "the end of the camera")

        del document["cameras"]["c"]
        reload(process, tmp_path, document)
        for topic in ("status", "state/enabled", "state/fps", "state/confidence"):
            subscriber.wait_for(f"{TOPICS}/c/{topic}", b"")

        document["cameras"]["c"] = file
        reload(process, tmp_path, document)
        subscriber.wait(partial(streams_again, "c"), "the camera again")
        still_comes(subscriber, "a")
        assert stop(process) < 5
    nothing_was_lost(subscriber, "a")
    states = [m.json()["state"] for m in subscriber.messages(f"{TOPICS}/a/status")]
    assert states in (["connecting", "streaming"], ["streaming"]), "a state that is over at once need not be told"


def streams_again(camera: str, messages: list[Message]) -> bool:
    """After its state was cleared."""
    payload = last_of(messages, f"{TOPICS}/{camera}/status")
    return bool(payload) and json.loads(payload or b"")["state"] == "streaming"


def test_thresholds_and_models_change_as_they_run(
    broker: Mosquitto, subscriber: Subscriber, street: Film, tmp_path: Path
) -> None:
    """Quantizing takes seconds, in which the old model goes on."""
    file = {"source": str(street.file), "loop": True, "fps": 10}
    scenes = tmp_path / "scenes"
    scenes.mkdir()
    for number in range(40):
        (scenes / f"{number}.png").symlink_to(picture(tmp_path, street))
    document = everything(
        {"a": file}, broker, models={"default": {"file": "street", "confidence": 0.9}}, inference={"cache": "engines"}
    )

    def objects(condition: Callable[[list[Any]], bool], what: str) -> None:
        wait_for(lambda: any(condition(m["objects"]) for m in detections_of(subscriber, "a")[-15:]), what, 40)

    with daemon(tmp_path, document) as process:
        still_comes(subscriber, "a", 20)
        assert all(o["score"] >= 0.9 for m in detections_of(subscriber, "a") for o in m["objects"])
        document["models"]["default"]["confidence"] = 0.2
        reload(process, tmp_path, document)
        objects(lambda found: any(o["score"] < 0.9 for o in found), "detections of lower scores")
        document["cameras"]["a"]["labels"] = ["person"]
        reload(process, tmp_path, document)
        wait_for(lambda: no_other_label(subscriber, "person"), "nothing but persons", 40)

        document["models"]["default"] |= {"precision": "int8", "calibration": "scenes"}
        reload(process, tmp_path, document)
        subscriber.wait(lambda m: "replaced" in model_of(m)["detail"], "that it is being built")
        subscriber.wait(lambda m: model_of(m)["precision"] == "int8", "the other model", 90)
        still_comes(subscriber, "a")
        (tmp_path / "empty").mkdir()
        document["models"]["default"]["calibration"] = "empty"
        reload(process, tmp_path, document)
        subscriber.wait(lambda m: "as before" in model_of(m)["detail"], "that it cannot be built", 60)
        still_comes(subscriber, "a")
        states = [info["models"]["default"]["state"] for m in subscriber.messages(INFO) if (info := m.json())]
        assert "ready" in states
        assert set(states[states.index("ready") :]) == {"ready"}
        assert stop(process) < 5
    nothing_was_lost(subscriber, "a")


def model_of(messages: list[Message]) -> Any:
    return info_of(messages)["models"]["default"]


def no_other_label(subscriber: Subscriber, label: str) -> bool:
    """In the last frames."""
    last = detections_of(subscriber, "a")[-10:]
    return all(o["label"] == label for m in last for o in m["objects"])


def picture(folder: Path, street: Film) -> Path:
    """The film's first frame."""
    file = folder / "first.png"
    if not file.exists():
        capture = cv2.VideoCapture(str(street.file))
        cv2.imwrite(str(file), capture.read()[1])
        capture.release()
    return file


def is_refused(sentence: str, messages: list[Message]) -> bool:
    return sentence in str(info_of(messages)["configuration"]["errors"])


def test_a_bad_configuration_is_refused_as_a_whole_and_the_old_one_goes_on(
    broker: Mosquitto, subscriber: Subscriber, street: Film, tmp_path: Path
) -> None:
    file = {"source": str(street.file), "loop": True, "fps": 5}
    document = everything({"a": file}, broker)
    with daemon(tmp_path, document) as process:
        still_comes(subscriber, "a")
        bad = {**document, "cameras": {"a": {**file, "fps": -1}, "b": {**file, "rotat": 90}}}
        reload(process, tmp_path, bad)
        subscriber.wait(lambda m: info_of(m)["configuration"]["errors"], "the refusal")
        errors = info_of(subscriber.messages())["configuration"]["errors"]
        assert [error.split(": ", 1)[1] for error in errors] == [
            "cameras.a.fps: must be a positive number, got -1",
            "cameras.b.rotat: is not a known key; did you mean 'rotate'?",
        ]
        log = (tmp_path / "log").read_text()
        assert all(f"the new configuration is refused: {error}" in log for error in errors)

        for refused, sentence in (
            ({**document, "device": "other"}, "device: cannot be changed while ospreyd runs; restart it"),
            ({**document, "cameras": {"a": {**file, "labels": ["dragon"]}}}, "has no class 'dragon'"),
        ):
            reload(process, tmp_path, refused)
            subscriber.wait(partial(is_refused, sentence), sentence)
        assert info_of(subscriber.messages())["cameras"] == ["a"]

        loaded = info_of(subscriber.messages())["configuration"]["loaded_at"]
        write(tmp_path, {**document, "cameras": {"a": file, "b": file}})  # nobody says so: it is noticed
        subscriber.wait(lambda m: info_of(m)["cameras"] == ["a", "b"], "the file to be noticed")
        subscriber.wait(lambda m: info_of(m)["configuration"]["errors"] is None, "no more errors")
        assert info_of(subscriber.messages())["configuration"]["loaded_at"] > loaded
        still_comes(subscriber, "b")
        assert stop(process) < 5
    nothing_was_lost(subscriber, "a")


def test_commands_change_what_runs_and_reload_it(
    broker: Mosquitto, subscriber: Subscriber, street: Film, tmp_path: Path
) -> None:
    file = {"source": str(street.file), "loop": True, "fps": 5}
    document = everything({"a": file, "b": file}, broker)
    with daemon(tmp_path, document) as process:
        still_comes(subscriber, "a")
        subscriber.publish(f"{TOPICS}/a/set/enabled", "false")
        subscriber.wait(lambda m: state_of(m, "a")["state"] == "disabled", "the end of the camera")
        assert subscriber.wait_for(f"{TOPICS}/answer").json()["ok"]
        document["cameras"]["b"]["fps"] = 6
        write(tmp_path, document)
        subscriber.publish(f"{TOPICS}/command/reload", "")
        subscriber.wait(lambda m: any(b"configuration loaded" in x.payload for x in m), "the answer")
        assert state_of(subscriber.messages(), "a")["state"] == "disabled"
        subscriber.publish(f"{TOPICS}/a/set/enabled", "true")
        subscriber.wait(lambda m: state_of(m, "a")["state"] == "streaming", "the camera again")
        still_comes(subscriber, "a")
        subscriber.publish(f"{TOPICS}/command/build-engine", '{"model":"default"}')
        subscriber.wait(lambda m: any(b"needs no engine" in x.payload for x in m), "the refusal")
        assert stop(process) < 5

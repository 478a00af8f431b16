"""A real daemon that gets hostile messages while its configuration is edited, and what must hold for it."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import orjson
import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings

from daemon.control.command_payloads import shortened
from daemon.mqtt.incoming import Received
from tests.conftest import ROOT as REPOSITORY
from tests.daemon.hostile import DOCUMENTED, FRIGATE, MESSAGES, ROOT, may_be_answered_at
from tests.daemon.running import box, daemon, stop
from tests.servers.mosquitto import HOST, Mosquitto
from tests.servers.subscriber import Message, Subscriber

_AT_ONCE = 32
"""messages; less than the daemon lets wait"""
_ANSWER = {"schema", "device", "command", "ok", "detail"}


def messages(count: int, number: int) -> list[Received]:
    """Different for each `number`; those that a broker would not take are left out."""
    made: list[Received] = []

    @seed(number)
    @given(MESSAGES)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def draw(message: Received) -> None:
        if _is_valid(message.topic) and (message.response_topic is None or _is_valid(message.response_topic)):
            made.append(message)

    draw()
    return made


class FuzzedDaemon:
    """It has a camera whose model has failed, with labels, and one that comes and goes."""

    def __init__(self, file: Path, process: subprocess.Popen[str], broker: Mosquitto, document: dict[str, Any]) -> None:
        self.kinds: Counter[str] = Counter()
        """of what became of the messages"""
        self._file = file
        self._process = process
        self._broker = broker
        self._document = document
        self._numbers = itertools.count()
        self._edits = itertools.cycle(_edits(document))
        self._expected: dict[tuple[str, str], object] = {
            (camera, name): value
            for camera in ("front", "back")
            for name, value in (("enabled", True), ("confidence", None), ("fps", 5.0))
        }

    def send(self, sent: Sequence[Received]) -> None:
        """Publishes the messages while the configuration is edited, and checks each answer."""
        for start in range(0, len(sent), _AT_ONCE):
            self._edit(next(self._edits))
            self._send(sent[start : start + _AT_ONCE])

    def settle(self) -> None:
        """Checks that what runs is what was configured and commanded."""
        with Subscriber(HOST, self._broker.port) as subscriber:
            for cameras in (("front", "back"), ("front", "back", "yard")):
                document = {**self._document, "cameras": {name: self._document["cameras"][name] for name in cameras}}
                self._edit(document)
                subscriber.wait(partial(_has_cameras, cameras), f"the cameras {cameras}", 60)
            expected = {**self._expected, ("yard", "fps"): 5.0, ("yard", "confidence"): None, ("yard", "enabled"): True}
            for (camera, name), value in expected.items():
                subscriber.wait(partial(_is_set, camera, name, value), f"{name} of {camera} to be {value}")
            states = {
                "front": "streaming" if self._expected["front", "enabled"] else "disabled",
                "back": "offline" if self._expected["back", "enabled"] else "disabled",
                "yard": "streaming",
            }
            for camera, state in states.items():
                subscriber.wait(partial(_is_in, camera, state), f"{camera} to be {state}", 60)

    def _edit(self, document: dict[str, Any]) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(yaml.safe_dump(document))
        new.replace(self._file)
        self._process.send_signal(signal.SIGHUP)

    def _send(self, sent: Sequence[Received]) -> None:
        with Subscriber(HOST, self._broker.port) as subscriber:
            for message in sent:
                subscriber.publish(
                    message.topic,
                    message.payload,
                    response_topic=message.response_topic,
                    correlation=message.correlation,
                )
            last = f"me/{next(self._numbers)}"
            subscriber.publish(f"{ROOT}/command/stats", b"", response_topic=last)
            subscriber.wait_for(last, timeout=60)
            answers = [came for came in subscriber.messages() if _is_answer(came)][:-1]
        commands = [message for message in sent if _is_heard(message.topic)]
        self.kinds["ignored"] += len(sent) - len(commands)
        assert len(answers) == len(commands), f"{len(answers)} answers to {commands}"
        for message, came in zip(commands, answers, strict=True):
            self._check(message, came)
        assert self._process.poll() is None, f"it ended after {commands}"

    def _check(self, message: Received, came: Message) -> None:
        answer = came.json()
        context = f"{message}: {answer}"
        assert answer["command"] == shortened(message.topic.removeprefix(f"{ROOT}/")), context
        assert answer["detail"] != "internal error", context
        assert may_be_answered_at(came.topic), context
        self.kinds["executed" if answer["ok"] else "rejected"] += 1
        if not answer["ok"]:
            return
        assert message.topic in DOCUMENTED, context
        assert len(message.payload) <= 1024, context
        if message.topic in FRIGATE:
            self._expect(message.topic.split("/")[1], "enabled", message.payload == b"ON")
        elif "/set/" in message.topic:
            _, _, camera, _, name = message.topic.split("/")
            self._expect(camera, name, orjson.loads(message.payload))

    def _expect(self, camera: str, name: str, value: object) -> None:
        if (camera, name) in self._expected:
            self._expected[camera, name] = value


@contextmanager
def fuzzed(folder: Path, broker: Mosquitto) -> Iterator[FuzzedDaemon]:
    """A daemon that runs, and must stop without an error."""
    document = _document(folder, broker)
    with Subscriber(HOST, broker.port) as subscriber, daemon(folder, document) as process:
        subscriber.wait(partial(_is_in, "back", "offline"), "the model to fail", 60)
        subscriber.wait(partial(_is_in, "yard", "streaming"), "a camera", 60)
        yield FuzzedDaemon(folder / "box.yaml", process, broker, document)
        stop(process)
    assert "Traceback" not in (folder / "log").read_text()


def _document(folder: Path, broker: Mosquitto) -> dict[str, Any]:
    for name in ("pictures", "few"):  # too few to calibrate on
        (folder / name).mkdir()
    street = cv2.imread(os.fspath(REPOSITORY / "docs" / "demo.jpg"))
    assert street is not None
    cv2.imwrite(str(folder / "pictures" / "0.png"), cv2.resize(street, (416, 256)))
    camera = {"source": "pictures", "loop": True, "fps": 5}
    cameras = {"front": camera, "back": {**camera, "model": "broken", "labels": ["person"]}, "yard": camera}
    models = {"default": "street", "broken": {"file": "street", "precision": "int8", "calibration": "few"}}
    inference = {"backend": "onnxruntime", "threads": 1, "cache": "engines"}
    document = box(broker, cameras, models=models, inference=inference)
    document["mqtt"]["formats"] = {"frigate": {}, "homeassistant": {}}
    return document


def _edits(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The camera goes, comes back with labels, with labels that its model does not have, and without any."""

    cameras = document["cameras"]
    without = {name: camera for name, camera in cameras.items() if name != "yard"}
    labelled = ({**without, "yard": {**cameras["yard"], "labels": [label]}} for label in ("person", "?"))
    return [{**document, "cameras": edited} for edited in (without, *labelled, cameras)]


def _is_valid(topic: str) -> bool:
    """Whether a broker takes messages of that topic or response topic from anybody."""
    plain = topic.isprintable() and not set(topic) & set("+#") and len(topic.encode(errors="replace")) < 65_000
    return bool(topic) and plain and topic.count("/") < 100 and not topic.startswith("$") and topic.isascii()


def _is_heard(topic: str) -> bool:
    levels = topic.split("/")
    ours = levels[:2] == ROOT.split("/") and (
        (len(levels) == 5 and levels[3] == "set") or (len(levels) == 4 and levels[2] == "command")
    )
    return ours or (len(levels) == 4 and levels[0] == "frigate" and levels[2:] == ["detect", "set"])


def _is_answer(message: Message) -> bool:
    try:
        document = message.json()
    except (ValueError, UnicodeDecodeError):
        return False
    return isinstance(document, dict) and set(document) == _ANSWER


def _has_cameras(cameras: Sequence[str], messages: list[Message]) -> bool:
    info = _last(messages, f"{ROOT}/info")
    return info is not None and sorted(info["cameras"]) == sorted(cameras)


def _is_set(camera: str, name: str, value: object, messages: list[Message]) -> bool:
    said = _last(messages, f"{ROOT}/{camera}/state/{name}")
    return said is not None and bool(said["value"] == value)


def _is_in(camera: str, state: str, messages: list[Message]) -> bool:
    said = _last(messages, f"{ROOT}/{camera}/status")
    return said is not None and bool(said["state"] == state)


def _last(messages: list[Message], topic: str) -> dict[str, Any] | None:
    """None where nothing has been published, or it was cleared."""
    payloads = [message.payload for message in messages if message.topic == topic]
    return dict(json.loads(payloads[-1])) if payloads and payloads[-1] else None

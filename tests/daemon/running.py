"""A daemon as a user runs it, and what its subscribers have seen of it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from daemon.publish.channels import CHANNELS, JSON
from daemon.publish.schemas import schemas
from tests.servers.mosquitto import Mosquitto
from tests.servers.subscriber import Message, Subscriber

TOPICS = "ospreyd/box"


@contextmanager
def daemon(folder: Path, document: dict[str, Any] | str, module: str = "daemon") -> Iterator[subprocess.Popen[str]]:
    """`ospreyd run` on a configuration; its log is folder/log. Killed at the end if it still runs.

    `module`: another main module in place of the daemon's, which patches it.
    """
    config = folder / "box.yaml"
    config.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([sys.executable, "-m", module, "run", str(config)], stderr=log, text=True)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def stop(process: subprocess.Popen[str], number: signal.Signals = signal.SIGTERM) -> float:
    """Stops the daemon as systemd would; how long it took, seconds. Fails unless the exit code is 0."""
    began = time.monotonic()
    process.send_signal(number)
    assert process.wait(20) == 0
    return time.monotonic() - began


def box(broker: Mosquitto, cameras: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A configuration of the device `box` with the drawn street's detector, for `daemon`."""
    mqtt = {"host": "127.0.0.1", "port": broker.port}
    return {"device": "box", "mqtt": mqtt, "models": {"default": "street"}, "cameras": cameras, **more}


def detections_of(subscriber: Subscriber, camera: str) -> list[dict[str, Any]]:
    """What has been published of a camera, in its order."""
    return [m.json() for m in subscriber.messages(f"{TOPICS}/{camera}/detections")]


def has(count: int, camera: str, messages: list[Message]) -> bool:
    """Whether so many frames of a camera have been published."""
    return sum(m.topic == f"{TOPICS}/{camera}/detections" for m in messages) >= count


def state_of(messages: list[Message], camera: str) -> dict[str, Any]:
    """What was said of a camera last."""
    states = [m.json() for m in messages if m.topic == f"{TOPICS}/{camera}/status"]
    return dict(states[-1]) if states else {"state": None, "reason": None}


def every_message_fits_its_schema(messages: list[Message]) -> None:
    """And there is one of every kind that comes unasked, without zones and lines."""
    known = {name: jsonschema.Draft202012Validator(schema) for name, schema in schemas().items()}
    seen = set()
    for message in messages:
        (channel,) = (one for one in CHANNELS if one.parameters("ospreyd", message.topic) is not None)
        if channel.name == "status":
            assert message.payload in {b"online", b"offline"}
        if channel.content_type != JSON:
            continue
        known[channel.name].validate(message.json())
        seen.add(channel.name)
    assert seen - {"zone", "line"} == set(known) - {"answer", "zone", "line"}

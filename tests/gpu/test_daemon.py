"""The whole daemon on a GPU."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from daemon.demo.film import Film, Shot, film
from daemon.demo.score import Score, score, seen_in
from engines.backends import Backend
from tests.conftest import ROOT
from tests.daemon.running import TOPICS, box, daemon, detections_of, has, state_of, stop
from tests.servers.mosquitto import Mosquitto
from tests.servers.subscriber import Message, Subscriber


@pytest.fixture(scope="module")
def streets(tmp_path_factory: pytest.TempPathFactory) -> list[Film]:
    """Three sizes of the drawn street, with the truth of every frame."""
    folder = tmp_path_factory.mktemp("film")
    sizes = ((640, 480), (1280, 720), (416, 256))
    return [film(Shot(f"s{i}", *size, 10.0, seed=21 + i), folder / f"s{i}.mp4", 3.0) for i, size in enumerate(sizes)]


def model_is(state: str, messages: list[Message]) -> bool:
    said = [m.json() for m in messages if m.topic == f"{TOPICS}/info"]
    return bool(said) and said[-1]["models"]["default"]["state"] == state


def has_ended(camera: str, messages: list[Message]) -> bool:
    return bool(state_of(messages, camera)["state"] == "offline")


def test_every_frame_of_three_films_is_published_where_it_belongs(
    broker: Mosquitto, subscriber: Subscriber, streets: list[Film], backend: Backend, tmp_path: Path
) -> None:
    cameras = {f.file.stem: {"source": str(f.file), "pace": "as-fast-as-possible"} for f in streets}
    inference: dict[str, Any] = {"cache": "engines", "max_batch": 4}
    with daemon(tmp_path, box(broker, cameras, inference=inference)) as process:
        subscriber.wait(partial(model_is, "ready"), "the engine", 90)
        for street in streets:
            subscriber.wait(partial(has, len(street.truths), street.file.stem), "every frame", 30)
            subscriber.wait(partial(has_ended, street.file.stem), "the film's end", 30)
        assert stop(process) < 5
    info = [m.json() for m in subscriber.messages(f"{TOPICS}/info")][-1]
    assert (info["backend"], info["gpu"]) == (backend.name, backend.gpu)
    assert info["models"]["default"]["precision"] == "fp16"
    total = Score()
    for street in streets:
        messages = detections_of(subscriber, street.file.stem)
        assert [m["sequence"] for m in messages] == list(range(1, len(street.truths) + 1))
        for message in messages:
            total += score(street.truths[message["sequence"] - 1], seen_in(message))
    assert total.recall >= 0.85
    assert total.precision >= 0.85


def test_a_lost_context_ends_the_daemon_with_1(streets: list[Film], backend: Backend, tmp_path: Path) -> None:
    """So that systemd starts it again; the log has one sentence and no traceback."""
    config = tmp_path / "box.yaml"
    cameras = {"street": {"source": str(streets[0].file), "loop": True}}
    models = {"default": "street"}
    document = {"device": "box", "mqtt": {"host": "127.0.0.1", "port": 1}, "models": models, "cameras": cameras}
    config.write_text(yaml.safe_dump({**document, "inference": {"cache": str(tmp_path / "engines")}}))
    program = f"""
import logging, sys, threading
from daemon.__main__ import main
from tests.gpu.kernels import break_context
class WhenReady(logging.Handler):
    def emit(self, record):
        if "ready" in record.getMessage():
            threading.Timer(1.0, break_context).start()
logging.getLogger("ospreyd").addHandler(WhenReady())
sys.argv = ["ospreyd", "run", {str(config)!r}]
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "stopped: the GPU failed in " in done.stderr
    assert "Traceback" not in done.stderr

"""Shards on GPUs: several on one, and one on each of several."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from daemon.demo.film import Film, Shot, film
from engines.backends import Backend, gpus
from tests.daemon.running import TOPICS, box, daemon, stop
from tests.gpu.test_daemon import model_is
from tests.servers.mosquitto import Mosquitto
from tests.servers.subscriber import Subscriber
from tests.test_reload import nothing_was_lost, still_comes
from tests.test_shards import is_lost, processes, streams


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Film:
    """Four seconds of the drawn street."""
    return film(Shot("street", 640, 480, 10.0, seed=21), tmp_path_factory.mktemp("film") / "street.mp4", 4.0)


def run(
    broker: Mosquitto, subscriber: Subscriber, folder: Path, cameras: dict[str, Any], inference: dict[str, Any]
) -> list[str | None]:
    """Kills the first of two shards while both run; CUDA_VISIBLE_DEVICES of both, as they were started."""
    document = box(broker, cameras, inference={"cache": "engines", **inference}, service={"metrics": None})
    document["mqtt"]["stats_every"] = 0.5
    with daemon(folder, document) as process:
        subscriber.wait(partial(model_is, "ready"), "the engine", 120)
        for name in "ab":
            still_comes(subscriber, name)
        both = processes(process)
        seen = [visible(pid) for pid in both]
        os.kill(both[0], signal.SIGKILL)
        subscriber.wait(partial(is_lost, "a"), "the state of its camera")
        subscriber.wait(partial(streams, "a"), "the camera again", 20)
        still_comes(subscriber, "a")
        assert both[1] in processes(process)
        assert stop(process) < 5
    nothing_was_lost(subscriber, "b")
    assert subscriber.messages(f"{TOPICS}/stats")[-1].json()["cameras"]["a"]["connections"] >= 2
    return seen


def visible(pid: int) -> str | None:
    variables = dict(one.split("=", 1) for one in Path(f"/proc/{pid}/environ").read_text().split("\0") if "=" in one)
    return variables.get("CUDA_VISIBLE_DEVICES")


@pytest.mark.usefixtures("backend")
def test_two_shards_share_a_gpu(broker: Mosquitto, subscriber: Subscriber, street: Film, tmp_path: Path) -> None:
    camera = {"source": str(street.file), "loop": True, "gpu": 0}
    run(broker, subscriber, tmp_path, {"a": camera, "b": camera}, {"shards": 2})


def test_each_gpu_has_a_shard(
    broker: Mosquitto, subscriber: Subscriber, street: Film, backend: Backend, tmp_path: Path
) -> None:
    if gpus(backend) != 2:
        pytest.skip("needs two GPUs")
    camera = {"source": str(street.file), "loop": True}
    cameras = {"a": {**camera, "gpu": 0}, "b": {**camera, "gpu": 1}}
    seen = run(broker, subscriber, tmp_path, cameras, {})
    assert len(set(seen)) == 2
    assert None not in seen

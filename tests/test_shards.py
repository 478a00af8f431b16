"""A daemon whose cameras are shared out among processes: one dies, hangs, or fails, and the others go on."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from daemon.demo.film import Film, Shot, film
from tests.conftest import wait_for
from tests.daemon.hanging_daemon import HANG
from tests.daemon.looking import looking
from tests.daemon.running import TOPICS, box, daemon, detections_of, every_message_fits_its_schema, has, state_of, stop
from tests.servers.mosquitto import Mosquitto
from tests.servers.proxy import Proxy
from tests.servers.subscriber import Message, Subscriber
from tests.test_reload import last_of, nothing_was_lost, reload, still_comes, streams_again
from tests.test_tracking import AREAS, check_events, events_of, retained

_BACK_WITHIN = 15.0  # seconds on a slow machine; it takes 3 on two cores


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Film:
    """Eight seconds of the drawn street."""
    return film(Shot("street", 416, 256, 5.0, seed=21), tmp_path_factory.mktemp("film") / "street.mp4", 8.0)


def in_shards(broker: Mosquitto, cameras: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A configuration with two shards; the first camera is in the first one, the second in the second, and so on."""
    inference = {"backend": "onnxruntime", "max_age_ms": 20000, "shards": 2}
    document = box(broker, cameras, inference=inference, service={"metrics": None}, **more)
    document["mqtt"]["stats_every"] = 0.5
    return document


def processes(of: subprocess.Popen[str]) -> list[int]:
    """The daemon's child processes, in the order in which they were started."""
    found: list[str] = []
    for task in Path(f"/proc/{of.pid}/task").iterdir():
        with contextlib.suppress(OSError):  # a thread that has just ended
            found += (task / "children").read_text().split()
    return sorted(map(int, found))


def crossed(events: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    return Counter((e["direction"], e["label"]) for e in events if e["type"] == "line-crossed")


def is_lost(camera: str, messages: list[Message]) -> bool:
    state = state_of(messages, camera)
    return (state["state"], state["reason"]) == ("offline", "shard-failed")


def streams(camera: str, messages: list[Message]) -> bool:
    return bool(state_of(messages, camera)["state"] == "streaming")


def test_a_shard_that_dies_or_hangs_comes_back_and_the_other_loses_nothing(
    broker: Mosquitto, subscriber: Subscriber, street: Film, tmp_path: Path
) -> None:
    """Objects that were there have left, lines are counted on, and what is configured meanwhile holds later."""
    camera = {"source": str(street.file), "loop": True, **AREAS}
    document = in_shards(broker, {"a": camera, "b": camera}, tracking={"confirm_frames": 2})
    with daemon(tmp_path, document, "tests.daemon.impatient_daemon") as process:
        for name in "ab":
            still_comes(subscriber, name)
        first, second = processes(process)
        for number in (signal.SIGSTOP, signal.SIGKILL):
            subscriber.wait(lambda m: crossed(events_of(m, "a")), "a crossing", 60)
            os.kill(first, number)
            document["cameras"][number.name] = camera
            reload(process, tmp_path, document)
            subscriber.wait(partial(is_lost, "a"), "the state of its camera", 30)
            began = time.monotonic()
            subscriber.wait(partial(streams, "a"), "the camera again", _BACK_WITHIN + 5)
            assert time.monotonic() - began < _BACK_WITHIN
            for name in ("a", number.name):
                still_comes(subscriber, name, 5)
            (first,) = set(processes(process)) - {second}
        assert second in processes(process)
        assert stop(process) < 5
        subscriber.wait(lambda m: m[-1].payload == b"offline", "the last message")
    nothing_was_lost(subscriber, "b")
    messages = subscriber.messages()
    every_message_fits_its_schema(messages)
    assert {state["reason"] for state in states_of(messages, "b")} == {None}
    for name in "ab":
        events = events_of(messages, name)
        check_events(events)
        line = retained(messages, "lines/middle", name)
        totals = {(way, label): n for way in ("in", "out") for label, n in line[way].items() if n}
        assert totals == dict(crossed(events))
        assert retained(messages, "zones/left", name)["occupied"] is False
    left = Counter(e["reason"] for e in events_of(messages, "a") if e["type"] == "object-left")
    assert left["restart"] > 0
    seen = [e for e in events_of(messages, "a") if e["type"] in ("appeared", "gone")]
    for label in {e["label"] for e in seen}:
        kinds = [e["type"] for e in seen if e["label"] == label]
        assert all(kind == ("appeared", "gone")[number % 2] for number, kind in enumerate(kinds))
    assert "shard 0: it has said nothing for" in (tmp_path / "log").read_text()
    reasons = [e["reason"] for e in events_of(messages, "a") if e["type"] == "camera-state"]
    assert reasons.count("shard-failed") == 2


def test_a_shard_whose_inference_hangs_with_its_cameras_is_ended(
    broker: Mosquitto, subscriber: Subscriber, street: Film, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a GPU does not answer that decodes, too: its cameras are offline then, and deliver nothing."""
    hang = tmp_path / "hang"
    monkeypatch.setenv(HANG, str(hang))
    camera = {"source": str(street.file), "loop": True, "stall_after": 1}
    document = in_shards(broker, {"a": camera, "b": {**camera, "enabled": False}})
    with daemon(tmp_path, document, "tests.daemon.hanging_daemon") as process:
        still_comes(subscriber, "a")
        first, second = processes(process)
        hang.touch()
        subscriber.wait(lambda m: state_of(m, "a")["reason"] == "timeout", "the end of its frames", 30)
        hang.unlink()
        subscriber.wait(partial(is_lost, "a"), "the end of its process", 60)
        still_comes(subscriber, "a", 5)
        assert first not in processes(process)
        assert second in processes(process), "which has nothing to do"
        assert stop(process) < 5
    assert "shard 0: inference has been at the same frames for" in (tmp_path / "log").read_text()


def states_of(messages: list[Message], camera: str) -> list[dict[str, Any]]:
    return [m.json() for m in messages if m.topic == f"{TOPICS}/{camera}/status"]


def test_commands_reloads_and_pictures_reach_the_right_shard(
    broker: Mosquitto, subscriber: Subscriber, street: Film, tmp_path: Path
) -> None:
    camera = {"source": str(street.file), "loop": True, **AREAS}
    document = in_shards(broker, {"a": camera, "b": camera}, tracking={"confirm_frames": 2})
    document["mqtt"]["formats"] = {"deepstream": {}}

    def ask(topic: str, payload: str = "") -> dict[str, Any]:
        reply = f"me/{time.monotonic()}"
        subscriber.publish(f"{TOPICS}/{topic}", payload, response_topic=reply)
        answer: dict[str, Any] = subscriber.wait_for(reply).json()
        return answer

    with daemon(tmp_path, document) as process, looking() as looker:
        for name in "ab":
            still_comes(subscriber, name)
            told, picture = looker.picture(name, 208, edited=True)
            assert (told["camera"], picture.shape) == (name, (128, 208, 3))
            assert picture.any()
            assert ask("command/snapshot", f'{{"camera": "{name}"}}')["ok"]
            assert subscriber.wait_for(f"{TOPICS}/{name}/snapshot").payload[:2] == b"\xff\xd8"
        subscriber.wait(lambda m: {"a", "b"} <= formatted(m), "detections in another format", 60)
        subscriber.wait(lambda m: crossed(events_of(m, "b")), "a crossing", 60)
        since = retained(subscriber.messages(), "lines/middle", "b")["since"]
        assert ask("command/reset-lines", '{"camera": "b"}')["ok"]
        subscriber.wait(lambda m: retained(m, "lines/middle", "b")["since"] != since, "the new count")
        assert ask("a/set/enabled", "false")["ok"]
        subscriber.wait(lambda m: state_of(m, "a")["state"] == "disabled", "the camera's end")
        assert ask("command/build-engine", '{"model": "default"}')["ok"] is False

        del document["cameras"]["a"]
        document["cameras"]["c"] = camera
        reload(process, tmp_path, document)
        subscriber.wait(partial(streams_again, "c"), "the new camera", 30)
        still_comes(subscriber, "c")
        subscriber.wait(lambda m: last_of(m, f"{TOPICS}/a/zones/left") == b"", "the end of a zone")
        now = time.monotonic()
        stats = subscriber.wait_for(f"{TOPICS}/stats", after=now).json()
        assert stats["cameras"].keys() == {"b", "c"}
        assert stats["cameras"]["c"]["processed"] > 0
        assert stats["latency_ms"].keys() >= {"queue", "detector", "tracking", "total"}
        assert stop(process) < 5
    nothing_was_lost(subscriber, "b")


def formatted(messages: list[Message]) -> set[str]:
    """Cameras of which DeepStream's messages have had objects."""
    told = [m.json() for m in messages if m.topic == f"{TOPICS}/deepstream"]
    return {one["sensorId"] for one in told if one["objects"]}


def test_files_wait_for_the_daemon_and_lose_no_frame(
    broker: Mosquitto, subscriber: Subscriber, street: Film, tmp_path: Path
) -> None:
    """Also while the broker does not answer, whose subscriber is there before the first frame is sent."""
    file = {"source": str(street.file), "pace": "as-fast-as-possible"}
    document = in_shards(broker, {"a": file, "b": file, "more": {**file, "loop": True}})
    proxy = Proxy(broker.port, random.Random(0))
    proxy.silent = True
    document["mqtt"]["port"] = proxy.port
    with contextlib.closing(proxy), daemon(tmp_path, document) as process:
        log = tmp_path / "log"
        wait_for(
            lambda: all(f"camera {name}: streaming" in log.read_text() for name in ("a", "b", "more")), "the files", 60
        )
        proxy.silent = False
        for name in "ab":
            subscriber.wait(partial(has, len(street.truths), name), f"every frame of {name}", 120)
            sequences = [m["sequence"] for m in detections_of(subscriber, name)]
            assert sequences == list(range(1, len(street.truths) + 1))
        subscriber.wait(partial(has, 300, "more"), "more frames than there is room for", 120)
        sequences = [m["sequence"] for m in detections_of(subscriber, "more")]
        assert sequences == list(range(1, len(sequences) + 1))
        assert stop(process) < 5

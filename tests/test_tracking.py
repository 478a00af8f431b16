"""Objects, zones and lines of a whole daemon, as its subscribers get them: over reloads, crashes and restarts."""

from __future__ import annotations

import signal
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from daemon.demo.film import Film, Shot, film
from tests.daemon.running import TOPICS, box, daemon, every_message_fits_its_schema, has, state_of, stop
from tests.daemon.test_picture_requests import decoded as read
from tests.servers.mosquitto import Mosquitto
from tests.servers.subscriber import Message, Subscriber

LEFT, RIGHT = [[0, 0], [0.5, 0], [0.5, 1], [0, 1]], [[0.5, 0], [1, 0], [1, 1], [0.5, 1]]
AREAS: dict[str, Any] = {
    "zones": {"left": {"polygon": LEFT, "max_count": 0}, "right": {"polygon": RIGHT, "dwell": 1}},
    "lines": {"middle": {"points": [[0.5, 0], [0.5, 1]], "in": [0.9, 0.5]}},
}


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Film:
    """Eight seconds of the drawn street."""
    return film(Shot("street", 640, 480, 10.0, seed=21), tmp_path_factory.mktemp("film") / "street.mp4", 8.0)


def events_of(messages: list[Message], camera: str = "street") -> list[dict[str, Any]]:
    """Events of a camera as they came, each once."""
    told = {m.json()["id"]: m.json() for m in messages if m.topic == f"{TOPICS}/{camera}/events"}
    return list(told.values())


def retained(messages: list[Message], what: str, camera: str = "street") -> dict[str, Any]:
    """What was said last of a zone or a line."""
    return dict([m.json() for m in messages if m.topic == f"{TOPICS}/{camera}/{what}"][-1])


def check_events(events: list[dict[str, Any]]) -> None:
    """Every object appears once and leaves once, zones are entered and left, crowded and cleared in turn; with counts
    and totals."""
    by_object: dict[str, list[dict[str, Any]]] = defaultdict(list)
    inside: Counter[tuple[str, str]] = Counter()
    totals: Counter[tuple[str, str, str]] = Counter()
    crowded = [(event["zone"], event["type"]) for event in events if event["type"].endswith(("-crowded", "-cleared"))]
    assert [kind for _, kind in sorted(crowded, key=lambda each: each[0])] == ["zone-crowded", "zone-cleared"] * (
        len(crowded) // 2
    )
    for event in events:
        if event.get("object"):
            by_object[event["object"]["id"]].append(event)
        if event["type"] in ("zone-entered", "zone-left"):
            inside[event["zone"], event["label"]] += 1 if event["type"] == "zone-entered" else -1
            assert event["count"] == inside[event["zone"], event["label"]]
        if event["type"] == "line-crossed":
            totals[event["line"], event["direction"], event["label"]] += 1
            assert event["total"] == totals[event["line"], event["direction"], event["label"]]
    assert not +inside
    for told in by_object.values():
        types = [event["type"] for event in told]
        assert (types[0], types[-1]) == ("object-appeared", "object-left")
        assert types.count("object-appeared") == types.count("object-left") == 1
        for zone in {event["zone"] for event in told if event["zone"]}:
            edges = [e["type"] for e in told if e["zone"] == zone and e["type"] != "zone-dwell"]
            assert edges == ["zone-entered", "zone-left"] * (len(edges) // 2)


def test_a_film_is_told_as_objects_zones_and_lines(
    broker: Mosquitto, subscriber: Subscriber, street: Film, tmp_path: Path
) -> None:
    camera = {"source": str(street.file), "pace": "as-fast-as-possible", **AREAS}
    document = box(broker, {"street": camera}, tracking={}, events={"snapshot": "best"})
    document["mqtt"]["stats_every"] = 0.2
    with daemon(tmp_path, document) as process:
        subscriber.wait(lambda m: state_of(m, "street")["state"] == "offline", "the film's end", 60)
        subscriber.wait(lambda m: has(len(street.truths), "street", m), "every frame", 20)
        assert stop(process) < 5
    subscriber.wait(lambda m: m[-1].payload == b"offline", "the last message")
    messages = subscriber.messages()
    every_message_fits_its_schema(messages)
    events = events_of(messages)
    check_events(events)
    kinds = Counter(event["type"] for event in events)
    assert kinds["object-appeared"] >= 3
    assert kinds["zone-entered"] >= 3
    assert kinds["line-crossed"] >= 1
    assert kinds["zone-dwell"] >= 1
    line = retained(messages, "lines/middle")
    crossed = Counter((e["direction"], e["label"]) for e in events if e["type"] == "line-crossed")
    assert {(way, label): n for way in ("in", "out") for label, n in line[way].items() if n} == dict(crossed)
    zone = retained(messages, "zones/left")
    assert zone["occupied"] is False
    assert set(zone["counts"].values()) == {0}
    assert zone["counts"].keys() >= {label for _, label in crossed}
    stats = [m.json()["cameras"]["street"].get("objects") for m in messages if m.topic == f"{TOPICS}/stats"]
    assert max(each["tracked"] for each in stats if each) > 0
    told = {e["object"]["id"] for e in events if e["type"] == "object-appeared"}
    shown = [each for m in messages if m.topic == f"{TOPICS}/street/detections" for each in m.json()["objects"]]
    assert {each["track_id"] for each in shown} - {None} == told
    assert all(set(each["zones"]) <= {"left", "right"} for each in shown)
    check_pictures(messages, Counter(each["track_id"] for each in shown))


def check_pictures(messages: list[Message], sightings: Counter[str]) -> None:
    """Of every object that was there for some frames one picture when it appeared, and one when it had left."""
    published = [message for message in messages if message.topic == f"{TOPICS}/street/snapshot"]
    assert all(read(message.payload).shape == (480, 640, 3) for message in published)
    pictures = Counter(dict(message.user_properties)["object"] for message in published)
    assert pictures.keys() <= sightings.keys()
    for each, frames in sightings.items():
        if each is not None and frames > 20:  # while two pictures are being drawn no third is taken
            assert pictures[each] == 2


def test_no_object_goes_on_where_a_film_begins_again(broker: Mosquitto, subscriber: Subscriber, tmp_path: Path) -> None:
    """In real time: at the end of a pass every object has left, whoever stands at its place in the next."""
    short = film(Shot("street", 640, 480, 10.0, seed=21), tmp_path / "short.mp4", 2.0)
    camera = {"source": str(short.file), "loop": True, **AREAS}
    with daemon(tmp_path, box(broker, {"street": camera}, tracking={"confirm_frames": 2})) as process:
        subscriber.wait(lambda m: has(3 * len(short.truths), "street", m), "three passes", 60)
        stop(process)
    check_events(events_of(subscriber.messages()))
    passes: dict[str, set[int]] = defaultdict(set)
    for message in subscriber.messages():
        if message.topic == f"{TOPICS}/street/detections":
            for each in message.json()["objects"]:
                if each["track_id"] is not None:
                    passes[each["track_id"]].add((message.json()["sequence"] - 1) // len(short.truths))
    assert {1, 2} <= set().union(*passes.values())
    assert all(len(of) == 1 for of in passes.values()), passes


def test_a_killed_daemon_leaves_nothing_open(
    broker: Mosquitto, subscriber: Subscriber, street: Film, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while objects are there, three times; each start first tells that what was open has left.

    The first time a zone is crowded too.
    """
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    camera = {"source": str(street.file), "loop": True, **AREAS}
    document = box(broker, {"street": camera}, tracking={"confirm_frames": 2})
    for number in range(3):
        with daemon(tmp_path, document) as process:

            def open_again(messages: list[Message], before: int = number) -> bool:
                events = events_of(messages)
                left = {e["object"]["id"] for e in events if e["type"] == "object-left"}
                there = {e["object"]["id"] for e in events if e["type"] == "zone-entered"} - left
                told = Counter(e["type"] for e in events)
                crowded = before > 0 or told["zone-crowded"] > told["zone-cleared"]
                return bool(there) and crowded and sum(e["reason"] == "restart" for e in events) >= before

            subscriber.wait(open_again, "an object in a zone", 60)
            process.send_signal(signal.SIGKILL)
            process.wait()
    before = sum(m.topic == f"{TOPICS}/street/detections" for m in subscriber.messages())
    with daemon(tmp_path, document) as process:
        subscriber.wait(lambda m: has(before + 15, "street", m), "frames of the last run", 60)
        stop(process)
    events = events_of(subscriber.messages())
    check_events(events)
    reasons = Counter(event["reason"] for event in events if event["type"] == "object-left")
    assert reasons["restart"] >= 3
    assert reasons["shutdown"] >= 1


def test_a_camera_without_tracking_says_what_it_always_said(
    broker: Mosquitto, subscriber: Subscriber, street: Film, tmp_path: Path
) -> None:
    """One camera is tracked, the other is not: nothing of its messages has a new key, and no topic is new."""
    camera = {"source": str(street.file), "pace": "as-fast-as-possible"}
    cameras = {"street": {**camera, **AREAS}, "other": {**camera, "tracking": None}}
    with daemon(tmp_path, box(broker, cameras, tracking={})) as process:
        subscriber.wait(lambda m: has(len(street.truths), "other", m), "every frame", 60)
        subscriber.wait(lambda m: state_of(m, "other")["state"] == "offline", "the film's end", 60)
        stop(process)
    messages = [m for m in subscriber.messages() if m.topic.startswith(f"{TOPICS}/other/")]
    assert not [m for m in messages if "/zones/" in m.topic or "/lines/" in m.topic]
    for event in events_of(messages, "other"):
        assert event["type"] in ("camera-state", "appeared", "gone")
        assert "zone" not in event
    for message in messages:
        if message.topic.endswith("/detections"):
            assert not [
                each for each in message.json()["objects"] if set(each) != {"label", "class_id", "score", "box"}
            ]

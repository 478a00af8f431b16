"""Real videos through a real daemon: the events are what a person who watches them writes down.

intel_one-by-one-person-detection: six people come one after another from the left or from below, stand at the table and
leave to the right; the first, second, third and fifth stand for ten seconds or more.

car_traffic_small: seven vehicles come towards the camera and cross the line: a white and a blue saloon, a black van,
a blue jeep, a silver hatchback, a white pickup and a black car; the jeep and the pickup are half hidden as they do, so
one may be missed, or told twice. Nothing goes up over it; where a vehicle leaves at the edge as another comes in beside
it, one is reported all the same, and two may be.

intel_bottle-detection: three bottles stand on a table; the left one is taken and put back twice, the middle one and
the right one once: seven appearances, and four that leave. One that is lifted too fast to be seen moving is waited for
as if it were hidden; put back at its place it is the same one.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import pytest

from tests.conftest import wait_for
from tests.daemon.running import TOPICS, box, daemon, state_of, stop
from tests.servers.mosquitto import Mosquitto
from tests.servers.subscriber import Message, Subscriber
from tests.test_tracking import check_events, events_of

VEHICLES = ["car", "truck", "bus", "motorcycle"]
CAMERAS: dict[str, dict[str, Any]] = {
    "people": {
        "source": "intel_one-by-one-person-detection.mp4",
        "labels": ["person"],
        "confidence": 0.5,
        "zones": {"table": {"polygon": [[0.4, 0.6], [0.75, 0.6], [0.75, 1], [0.4, 1]], "dwell": 5}},
        "lines": {"exit": {"points": [[0.78, 0], [0.78, 1]], "in": [0.2, 0.5]}},
    },
    "cars": {
        "source": "car_traffic_small.mp4",
        "labels": VEHICLES,
        "confidence": 0.3,
        "lines": {"near": {"points": [[0.3, 0.8], [1, 0.8]], "in": [0.5, 0.99]}},
    },
    "bottles": {"source": "intel_bottle-detection.mp4", "labels": ["bottle"], "confidence": 0.3},
}


def slower(video: Path, folder: Path, fps: float) -> Path:
    """The same video with so many frames a second, the others left out; `fps` of a camera counts real seconds."""
    reader = cv2.VideoCapture(str(video))
    rate, size = reader.get(cv2.CAP_PROP_FPS), tuple(int(reader.get(key)) for key in (3, 4))
    file = folder / f"{video.stem}.mp4"
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"mp4v"), fps, size)
    frame, written = 0, 0
    while (found := reader.read())[0]:
        if frame >= written * rate / fps:
            writer.write(found[1])
            written += 1
        frame += 1
    writer.release()
    return file


def watch(
    names: list[str], fps: float | None, broker: Mosquitto, subscriber: Subscriber, material: Path, tmp_path: Path
) -> list[Message]:
    """The events of these videos until they have ended and the daemon is stopped."""
    videos = {name: material / "videos" / CAMERAS[name]["source"] for name in names}
    if fps is not None:
        videos = {name: slower(video, tmp_path, fps) for name, video in videos.items()}
    cameras = {
        name: {**CAMERAS[name], "source": str(video), "pace": "as-fast-as-possible"} for name, video in videos.items()
    }
    model = {"file": str(material / "models" / "yolox_nano_416.onnx"), "labels": "coco"}
    document = box(
        broker, cameras, models={"default": model}, tracking={}, inference={"backend": "onnxruntime", "threads": 2}
    )
    with daemon(tmp_path, document) as process:

        def ended(messages: list[Message]) -> bool:
            assert process.poll() is None, (tmp_path / "log").read_text()
            return all(state_of(messages, name)["reason"] == "ended" for name in names)

        wait_for(lambda: ended(subscriber.messages()), "the end of the videos", 400)
        stop(process)
    for name in names:
        check_events(events_of(subscriber.messages(), name))
    return subscriber.messages()


def told(messages: list[Message], camera: str) -> Counter[str]:
    """How often each type of event was told, crossings with their direction."""
    return Counter(
        event["type"] + (f" {event['direction']}" if event.get("direction") else "")
        for event in events_of(messages, camera)
    )


def check_people(messages: list[Message]) -> None:
    people = told(messages, "people")
    assert people["object-appeared"] == 6
    assert people["zone-entered"] == people["zone-left"] == people["zone-dwell"] == 6
    assert (people["line-crossed out"], people["line-crossed in"]) == (6, 0)
    stood = {e["object"]["id"] for e in events_of(messages, "people") if e["type"] == "object-stationary"}
    assert len(stood) == 4
    left = [e["object"] for e in events_of(messages, "people") if e["type"] == "object-left"]
    assert all(each["visited"] == ["table"] for each in left)


def check_cars(messages: list[Message]) -> None:
    cars = told(messages, "cars")
    assert cars["line-crossed in"] == pytest.approx(7, abs=1)
    assert cars["line-crossed out"] <= 2
    totals = [m.json() for m in messages if m.topic == f"{TOPICS}/cars/lines/near"][-1]
    assert sum(totals["in"].values()) == cars["line-crossed in"]


@pytest.mark.timeout(500)
def test_at_full_rate(broker: Mosquitto, subscriber: Subscriber, material: Path, tmp_path: Path) -> None:
    messages = watch(["people", "cars"], None, broker, subscriber, material, tmp_path)
    check_people(messages)
    check_cars(messages)


@pytest.mark.timeout(500)
def test_at_five_frames_a_second(broker: Mosquitto, subscriber: Subscriber, material: Path, tmp_path: Path) -> None:
    messages = watch(["people", "cars", "bottles"], 5, broker, subscriber, material, tmp_path)
    check_people(messages)
    check_cars(messages)
    bottles = told(messages, "bottles")
    assert 6 <= bottles["object-appeared"] <= 7
    unseen = [e for e in events_of(messages, "bottles") if e["type"] == "object-left" and e["reason"] == "unseen"]
    assert 2 <= len(unseen) <= 4

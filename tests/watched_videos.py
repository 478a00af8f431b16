"""Parts of real videos, what a person wrote down who watched them, and what a real daemon tells of them.

It was written down by looking at the pictures; where the daemon told something else, they were looked at again, and
three entries (the saloon on the line, the grey car, the van) were corrected. Frames count from 0.

People (intel_one-by-one-person-detection, 10 frames/s): a man comes in from below (frame 745), stands at the table from
775 to 840, too short to count as standing, and leaves to the right (865). A woman comes in from below (920), stands at
the table from 945 to 1185 and leaves to the right (1200). In the whole video there are six, one after another; the
first, second, third and fifth stand for ten seconds or more.

Cars (car_traffic_small, 30 frames/s): a white saloon is on the line at first. From frame 60 on seven come over it,
towards the camera: a blue saloon (frame 235), a black van (291), a silver hatchback (440), a blue jeep (455), a white
pickup (485), a grey car (535) and a black one (775). The jeep comes out from behind the van as it crosses, and of the
grey car no more than a part is seen, between hatchback and pickup: these two may be missed. Nothing goes away over the
line: who drives away comes in above it.

Bottles (intel_bottle-detection, 30 frames/s): three stand on a table; the left one is taken away (205) and put back
(370). In the whole video four are taken away, and put back: the left one twice, the middle one and the right one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import lap
import numpy as np

from tests.conftest import wait_for
from tests.daemon.running import box, daemon, state_of, stop
from tests.servers.mosquitto import Mosquitto
from tests.servers.subscriber import Message, Subscriber

PEOPLE = "intel_one-by-one-person-detection.mp4"
CARS = "car_traffic_small.mp4"
BOTTLES = "intel_bottle-detection.mp4"
CAMERAS: dict[str, dict[str, Any]] = {
    PEOPLE: {
        "labels": ["person"],
        "confidence": 0.5,
        "zones": {"table": {"polygon": [[0.4, 0.6], [0.75, 0.6], [0.75, 1], [0.4, 1]], "dwell": 5}},
        "lines": {"exit": {"points": [[0.78, 0], [0.78, 1]], "in": [0.2, 0.5]}},
    },
    CARS: {
        "labels": ["car", "truck", "bus", "motorcycle"],
        "confidence": 0.3,
        "lines": {"near": {"points": [[0.3, 0.74], [0.92, 0.74]], "in": [0.5, 0.99]}},
    },
    BOTTLES: {"labels": ["bottle"], "confidence": 0.3},
}
_RATES = {PEOPLE: 10.0, CARS: 30.1875, BOTTLES: 29.8333}  # frames a second
_DIRECTIONS = {PEOPLE: "out", CARS: "in"}


@dataclass(frozen=True)
class Watched:
    """A part of a video, and how often what happens in it."""

    video: str
    first: int
    end: int
    """frame after the last"""
    fps: float | None
    """frames a second that are looked at; None: all"""
    happens: Mapping[str, int]
    """by type of event, or type and reason"""
    crossings: tuple[int, ...]
    """frames in which something comes over the line"""
    hidden: tuple[int, ...] = ()
    """likewise, of what is mostly hidden and may be missed"""

    def check(self, events: list[dict[str, Any]]) -> None:
        """What was told is what happens, and crossings within a second of when they do."""
        names = counted(events)
        for what, often in self.happens.items():
            assert names[what] == often, (self.video, self.fps, what, names)
        crossed = [event for event in events if event["type"] == "line-crossed"]
        assert {event["direction"] for event in crossed} <= {_DIRECTIONS.get(self.video)}
        rate = _RATES[self.video]
        frames = [self.first + (event["object"]["sequence"] - 1) * rate / (self.fps or rate) for event in crossed]
        assert _all_paired(self.crossings, frames, rate), (self.video, self.fps, frames)
        assert _all_paired(frames, (*self.crossings, *self.hidden), rate), (self.video, self.fps, frames)


def _all_paired(wanted: Sequence[float], there: Sequence[float], tolerance: float) -> bool:
    """Whether each frame number can have one of its own of the others, that far away at most."""
    if not wanted or not there:
        return not wanted
    far = np.abs(np.subtract.outer(wanted, there)) > tolerance
    _, which, _ = lap.lapjv(far.astype(float), extend_cost=True, cost_limit=0.5)
    return bool((which >= 0).all())


def person(number: int, *, stood: int) -> dict[str, int]:
    """So many people who come to the table, stay for more than five seconds and leave to the right."""
    kinds = ("object-appeared", "object-left", "zone-entered", "zone-left", "zone-dwell")
    return {**dict.fromkeys(kinds, number), "object-stationary": stood}


def watch(
    watched: Mapping[str, Watched], broker: Mosquitto, subscriber: Subscriber, material: Path, folder: Path
) -> list[Message]:
    """What is reported of them, each as a camera, until they have ended and the daemon is stopped."""
    for video in {part.video for part in watched.values()}:
        parts = {name: part for name, part in watched.items() if part.video == video}
        cut(parts, material / "videos" / video, folder)
    cameras = {
        name: {**CAMERAS[part.video], "source": str(folder / f"{name}.avi"), "pace": "as-fast-as-possible"}
        for name, part in watched.items()
    }
    model = {"file": str(material / "models" / "yolox_nano_416.onnx"), "labels": "coco"}
    document = box(
        broker, cameras, models={"default": model}, tracking={}, inference={"backend": "onnxruntime", "threads": 2}
    )
    with daemon(folder, document) as process:

        def ended(messages: list[Message]) -> bool:
            assert process.poll() is None, (folder / "log").read_text()
            return all(state_of(messages, name)["reason"] == "ended" for name in watched)

        wait_for(lambda: ended(subscriber.messages()), "the end of the videos", 400)
        stop(process)
    subscriber.wait(lambda messages: messages[-1].payload == b"offline", "the last message")
    return subscriber.messages()


def cut(parts: Mapping[str, Watched], video: Path, folder: Path) -> None:
    """The frames that are looked at as videos of their own, `<name>.avi`: `fps` of a camera counts real seconds."""
    reader = cv2.VideoCapture(str(video))
    rate, size = reader.get(cv2.CAP_PROP_FPS), (int(reader.get(3)), int(reader.get(4)))
    writers, written = {}, dict.fromkeys(parts, 0)
    for name, part in parts.items():
        file = str(folder / f"{name}.avi")
        writers[name] = cv2.VideoWriter(file, cv2.VideoWriter.fourcc(*"MJPG"), part.fps or rate, size)
    for frame in range(max(part.end for part in parts.values())):
        if not reader.grab():
            break
        for name, part in parts.items():
            due = part.first + written[name] * rate / (part.fps or rate)
            if due <= frame < part.end:
                writers[name].write(reader.retrieve()[1])
                written[name] += 1
    for writer in writers.values():
        writer.release()


def counted(events: list[dict[str, Any]]) -> Counter[str]:
    """How often what was told, by type of event, and by type and reason."""
    reasons = [f"{each['type']} {each['reason']}" for each in events if each["reason"]]
    return Counter([*reasons, *(each["type"] for each in events)])

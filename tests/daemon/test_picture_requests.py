"""Which frames pictures of objects are taken of, and what becomes of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.analysis.picture_requests import PictureOutputs, PictureRequests
from daemon.config.schema import Config
from daemon.media.draw import annotate
from daemon.media.snapshots import Snapshots, Subject
from daemon.records import EventType, FrameResult
from daemon.records.followed import Followed, Portrait
from engines.pictures import BgrPicture
from engines.records import Detections
from tests.conftest import wait_for
from tests.daemon.publishing import result
from tests.daemon.test_formats_objects import event, snapshot

IMAGE = np.full((720, 1280, 3), 90, np.uint8)
NOISE = np.random.default_rng(1).integers(0, 256, (720, 1280, 3), np.uint8)
Box = tuple[float, float, float, float]


def settings(snapshot_of: str = "best") -> Config:
    """The cameras front, which is tracked, and yard, which is not."""
    cameras = {"front": {"source": "rtsp://a/1"}, "yard": {"source": "rtsp://b/1", "tracking": None}}
    document = {"device": "gate", "mqtt": {"host": "a"}, "tracking": {}, "cameras": cameras}
    return Config.model_validate({**document, "events": {"snapshot": snapshot_of}})


class Requested:
    """What is asked for."""

    def __init__(self, snapshot_of: str = "best") -> None:
        self.requests: list[tuple[str, bool, str]] = []
        self.taken: list[tuple[str, int, bool]] = []
        """object, sequence of the frame, and whether it is the first"""
        self.ended: list[tuple[str, bool]] = []
        self.room = True
        outputs = PictureOutputs(self._request, lambda *_: None, self._portray, self._end)
        self.pictures = PictureRequests(settings(snapshot_of), outputs)

    def _request(self, camera: str, annotated: bool, label: str) -> None:
        self.requests.append((camera, annotated, label))

    def _portray(self, of: FrameResult, _image: object, portraits: Sequence[Portrait]) -> bool:
        if self.room:
            self.taken += [(each.object, of.sequence, each.first) for each in portraits]
        return self.room

    def _end(self, name: str, publish: bool) -> None:
        self.ended.append((name, publish))

    def see(self, sequence: int, **objects: tuple[float, Box]) -> None:
        self.pictures.result(frame(sequence, **objects), BgrPicture(IMAGE))

    def leave(self, name: str) -> None:
        self.pictures.event(event(EventType.OBJECT_LEFT, snapshot(id=name)))


def frame(sequence: int, **objects: tuple[float, Box]) -> FrameResult:
    """With these objects: score and box; and one detection that is none."""
    boxes = [(5.0, 5.0, 9.0, 9.0), *(box for _, box in objects.values())]
    scores = [0.99, *(score for score, _ in objects.values())]
    found = Detections(np.array(boxes, np.float32), np.array(scores, np.float32), np.zeros(len(boxes), np.int32))
    followed = (None, *(Followed(name, 1, False, ()) for name in objects))
    return replace(result(sequence), detections=found, objects=followed)


def at(x: float, y: float, width: float, height: float) -> Box:
    return (x, y, x + width, y + height)


def test_a_picture_is_taken_anew_where_it_is_clearly_better() -> None:
    made = Requested()
    made.see(1, a=(0.5, at(100, 100, 50, 100)))
    made.see(2, a=(0.52, at(100, 100, 50, 100)))  # hardly
    made.see(3, a=(0.5, at(100, 100, 100, 200)), b=(0.9, at(500, 100, 50, 100)))
    made.see(4, a=(0.9, at(0, 100, 300, 500)))  # at the edge
    made.see(5, a=(0.9, at(100, 100, 100, 200)))
    assert made.taken == [("a", 1, True), ("a", 3, False), ("b", 3, True), ("a", 5, False)]
    made.leave("a")
    made.leave("c")
    assert made.ended == [("a", True)]
    made.see(6, b=(0.9, at(500, 100, 50, 100)))
    assert len(made.taken) == 4


def test_what_touches_an_edge_all_the_time_has_a_picture_too() -> None:
    made = Requested()
    made.see(1, a=(0.5, at(1150, 100, 130, 300)))
    made.see(2, a=(0.9, at(1150, 100, 130, 300)))
    made.see(3, a=(0.3, at(1000, 100, 20, 30)))
    assert made.taken == [("a", 1, True), ("a", 2, False), ("a", 3, False)]


def test_what_finds_no_room_is_tried_again() -> None:
    made = Requested()
    made.room = False
    made.see(1, a=(0.9, at(100, 100, 50, 100)))
    made.leave("a")
    made.room = True
    assert made.ended == []
    made.see(2, b=(0.9, at(100, 100, 50, 100)))
    assert made.taken == [("b", 2, True)]


@pytest.mark.parametrize("snapshot_of", ["none", "plain", "annotated"])
def test_without_best_no_object_is_pictured(snapshot_of: str) -> None:
    made = Requested(snapshot_of)
    made.see(1, a=(0.9, at(100, 100, 50, 100)))
    made.leave("a")
    assert (made.taken, made.ended) == ([], [])


def test_what_was_taken_is_dropped_when_it_is_switched_off() -> None:
    made = Requested()
    made.see(1, a=(0.9, at(100, 100, 50, 100)))
    made.pictures.configure(settings("none"))
    made.leave("a")
    assert made.ended == [("a", False)]


def test_classes_are_pictured_where_no_objects_are_followed() -> None:
    made = Requested()
    appeared = event(EventType.APPEARED, snapshot())
    for camera in ("front", "yard"):
        made.pictures.event(replace(appeared, camera=camera))
    assert made.requests == [("yard", True, "person")]


@given(st.lists(st.tuples(st.floats(0.05, 1), st.floats(1, 500), st.booleans()), min_size=1, max_size=60))
def test_the_last_picture_is_nearly_the_best_one_and_there_are_few(seen: list[tuple[float, float, bool]]) -> None:
    made = Requested()
    for number, (score, size, edge) in enumerate(seen):
        made.see(number, a=(score, at(0 if edge else 100, 100, size, size)))

    def goodness(number: int) -> tuple[bool, float]:
        score, size, edge = seen[number]
        return not edge, score * size

    best = max(map(goodness, range(len(seen))))
    last = goodness(made.taken[-1][1])
    assert last[0] == best[0]
    assert last[1] > 0.9 * best[1]
    assert [first for _, _, first in made.taken] == [True] + [False] * (len(made.taken) - 1)
    assert len(made.taken) <= 2 * 97  # of each 1.1 times better than the last, from 0.05 to 500


class Kept:
    """Snapshots, and what they deliver."""

    def __init__(self) -> None:
        self.delivered: list[tuple[Subject, bytes]] = []
        self.failures: list[BaseException] = []
        self.largest: int | None = None
        self.snapshots = Snapshots(
            lambda *picture: self.delivered.append(picture), lambda _: self.largest, self.failures.append
        )

    def portray(self, image: Any, **first: bool) -> None:
        seen = frame(1, **{name: (0.9, at(100.0 * n, 100, 60, 120)) for n, name in enumerate(first, 1)})
        portraits = [Portrait(name, index, of) for index, (name, of) in enumerate(first.items(), 1)]
        wait_for(lambda: self.snapshots.portray(seen, BgrPicture(image), portraits), "room")


@pytest.fixture
def kept() -> Iterator[Kept]:
    made = Kept()
    made.snapshots.start()
    yield made
    made.snapshots.stop()
    assert made.snapshots.join(20)
    assert not made.failures


def decoded(packed: bytes) -> Any:
    return np.asarray(cv2.imdecode(np.frombuffer(packed, np.uint8), cv2.IMREAD_COLOR), int)


def test_an_objects_first_picture_and_its_last_are_delivered_with_its_box(kept: Kept) -> None:
    image = IMAGE.copy()
    kept.portray(image, a=True, b=True)
    image[:] = 255  # the next frame in the same buffer
    kept.portray(IMAGE + np.uint8(60), a=False)
    kept.snapshots.end_portrait("a", publish=True)
    kept.snapshots.end_portrait("b", publish=False)
    kept.snapshots.end_portrait("a", publish=True)
    kept.portray(IMAGE, c=True)
    wait_for(lambda: len(kept.delivered) == 4, "the pictures")
    assert [subject.object for subject, _ in kept.delivered] == ["a", "b", "a", "c"]
    assert {(subject.camera, subject.labels) for subject, _ in kept.delivered} == {("front", frozenset({"person"}))}
    seen = frame(1, a=(0.9, at(100, 100, 60, 120)))
    found = seen.detections
    alone = Detections(found.boxes[1:], found.scores[1:], found.labels[1:])
    for (_, packed), base in ((kept.delivered[0], IMAGE), (kept.delivered[2], IMAGE + np.uint8(60))):
        assert np.abs(decoded(packed) - annotate(base, alone, seen.labels)).mean() < 1


def test_pictures_that_are_kept_are_few_and_fit_the_broker_when_they_are_sent(kept: Kept) -> None:
    for number in range(65):
        kept.portray(NOISE if number == 64 else IMAGE, **{f"o{number}": False})
    kept.largest = 100_000
    for name in ("o0", "o1", "o64"):
        kept.snapshots.end_portrait(name, publish=True)
    wait_for(lambda: len(kept.delivered) == 2, "the pictures")
    assert [subject.object for subject, _ in kept.delivered] == ["o1", "o64"]
    assert 30_000 < len(kept.delivered[1][1]) <= 100_000


def test_what_waits_at_the_end_is_delivered() -> None:
    made = Kept()
    made.portray(IMAGE, a=False)
    made.snapshots.end_portrait("a", publish=True)
    made.snapshots.stop()
    made.snapshots.start()
    assert made.snapshots.join(20)
    assert [subject.object for subject, _ in made.delivered] == ["a"]

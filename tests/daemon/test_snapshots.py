"""Snapshots: taken only when wanted and from what was seen, and never larger than allowed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from daemon.media import snapshots
from daemon.media.draw import annotate
from daemon.media.snapshots import Snapshots, Subject, jpeg
from engines.pictures import BgrPicture
from tests.conftest import wait_for
from tests.daemon.publishing import result
from tests.nv12 import nv12

GREY = np.full((720, 1280, 3), 90, np.uint8)
NOISE = np.random.default_rng(1).integers(0, 256, (1080, 1920, 3), np.uint8)


class Delivered:
    """Snapshots whose pictures are kept."""

    def __init__(self) -> None:
        self.pictures: list[tuple[str, NDArray[np.uint8]]] = []
        self.labels: list[frozenset[str]] = []
        self.failures: list[BaseException] = []
        self.largest: int | None = None
        self.snapshots = Snapshots(self._deliver, lambda _subject: self.largest, self.failures.append)

    def _deliver(self, subject: Subject, packed: bytes) -> None:
        self.pictures.append((subject.camera, decoded(packed)))
        self.labels.append(subject.labels)


def decoded(packed: bytes) -> NDArray[np.uint8]:
    picture = cv2.imdecode(np.frombuffer(packed, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return np.asarray(picture, np.uint8)


@pytest.fixture
def delivered() -> Iterator[Delivered]:
    made = Delivered()
    made.snapshots.start()
    yield made
    made.snapshots.stop()
    assert made.snapshots.join(20)
    assert not made.failures


def difference(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    return float(np.abs(one.astype(int) - other).mean())


def test_a_picture_is_taken_once_for_each_request_and_belongs_to_us(delivered: Delivered) -> None:
    image = GREY.copy()
    delivered.snapshots.offer(result(1), BgrPicture(image))
    delivered.snapshots.request("front", annotated=False)
    delivered.snapshots.offer(result(2, camera="yard"), BgrPicture(image))
    delivered.snapshots.offer(result(2), BgrPicture(image))
    image[:] = 255  # the next frame in the same buffer
    delivered.snapshots.offer(result(3), BgrPicture(image))
    wait_for(lambda: delivered.pictures, "the picture")
    delivered.snapshots.request("yard", annotated=True)
    delivered.snapshots.offer(result(4, camera="yard"), BgrPicture(GREY))
    wait_for(lambda: len(delivered.pictures) == 2, "the other picture")
    (camera, plain), (other, drawn) = delivered.pictures
    assert (camera, other) == ("front", "yard")
    assert difference(plain, GREY) < 1
    seen = result(4)
    assert difference(drawn, annotate(GREY, seen.detections, seen.labels)) < 1.5
    assert difference(drawn, GREY) > 1.5 * difference(plain, GREY)


def test_a_picture_that_comes_too_late_is_not_taken(delivered: Delivered, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "WANTED_FOR", -1.0)
    delivered.snapshots.request("front", annotated=False)
    delivered.snapshots.offer(result(1), BgrPicture(GREY))
    monkeypatch.undo()
    delivered.snapshots.request("yard", annotated=False)
    delivered.snapshots.offer(result(2, camera="yard"), BgrPicture(GREY))
    wait_for(lambda: delivered.pictures, "the picture")
    assert [camera for camera, _ in delivered.pictures] == ["yard"]


@pytest.mark.parametrize("camera", ["front", "yard"])
def test_expired_requests_leave_no_label_behind(
    camera: str, delivered: Delivered, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Yesterday's person must not get today's picture of a car, also where requests came again and again meanwhile."""
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    for label, later in (("person", 6.0), ("bicycle", 6.0), ("car", 1.0)):
        delivered.snapshots.request(camera, annotated=False, label=label)
        clock[0] += later
    delivered.snapshots.offer(result(1, camera=camera), BgrPicture(GREY))
    monkeypatch.undo()
    wait_for(lambda: delivered.labels, "the picture")
    assert delivered.labels == [{"bicycle", "car"}]


def test_what_finds_the_thread_busy_is_taken_later() -> None:
    made = Delivered()
    for camera in ("a", "b", "c"):
        made.snapshots.request(camera, annotated=False)
        made.snapshots.offer(result(1, camera=camera), BgrPicture(GREY))
    made.snapshots.start()
    wait_for(lambda: len(made.pictures) == 2, "two pictures")
    made.snapshots.offer(result(2, camera="c"), BgrPicture(GREY))
    wait_for(lambda: len(made.pictures) == 3, "the third")
    made.snapshots.stop()
    assert made.snapshots.join(20)


@pytest.mark.parametrize(("largest", "size"), [(10_000_000, (1080, 1920)), (600_000, (1080, 1920)), (50_000, None)])
def test_a_jpeg_is_as_good_as_fits(largest: int, size: tuple[int, int] | None) -> None:
    packed = jpeg(NOISE, largest)
    assert len(packed) <= largest
    height, width = decoded(packed).shape[:2]
    if size is None:
        assert 100 < height < 1080
        assert abs(width / height - 16 / 9) < 0.02
    else:
        assert (height, width) == size


def unread() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    pytest.fail("it was read")


class Uncopied(np.ndarray[Any, np.dtype[np.uint8]]):
    """A picture that must not be copied."""

    def copy(self, order: Any = "C") -> Any:  # noqa: ARG002
        pytest.fail("it was copied")


def test_a_picture_of_another_process_is_made_to_fit(delivered: Delivered) -> None:
    packed = jpeg(NOISE)
    for largest in (None, len(packed) // 4):
        delivered.largest = largest
        delivered.snapshots.fit(Subject("front"), packed)
        wait_for(lambda: len(delivered.pictures) == (1 if delivered.largest is None else 2), "the picture")
    assert np.array_equal(delivered.pictures[0][1], decoded(packed))
    assert delivered.pictures[1][1].size < delivered.pictures[0][1].size


def test_a_frame_that_nobody_wants_is_not_copied() -> None:
    idle = Delivered().snapshots
    idle.request("yard", annotated=False)
    idle.offer(result(1), BgrPicture(GREY.view(Uncopied)))
    idle.offer(result(2), replace(nv12(GREY), read=unread))


def test_a_picture_of_a_decoder_is_converted_when_it_is_wanted(delivered: Delivered) -> None:
    delivered.snapshots.request("front", annotated=False)
    delivered.snapshots.offer(result(1), nv12(GREY))
    wait_for(lambda: delivered.pictures, "the picture")
    assert difference(delivered.pictures[0][1], GREY) < 1

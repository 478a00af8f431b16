"""Pictures that were asked for: filled once, by the right frame, as edited or not; and reports to several readers."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from daemon.capture.picture_wishes import PictureWishes, Wish
from daemon.media.snapshots import Subject
from daemon.records import Event, EventType, Frame
from daemon.stats import Reader, Stats
from daemon.view.event_memory import EventMemory
from engines.pictures import BgrPicture

Filled = list[tuple[int, int, int]]


def frame(sequence: int, height: int = 90, width: int = 160, value: int = 50) -> Frame:
    image = np.full((height, width, 3), value, np.uint8)
    return Frame("front", sequence, BgrPicture(image), 0.0, 0.0, None, True, lambda: None)


def wish(filled: Filled, *, width: int = 80, edited: bool = True, size: int = 1 << 16) -> Wish:
    return Wish(
        np.zeros(size, np.uint8), width, edited, lambda one: filled.append((one.sequence, one.width, one.height))
    )


def test_a_wish_is_filled_once_and_by_its_camera() -> None:
    wishes, filled = PictureWishes(), Filled()
    wishes.want("yard", wish(filled))
    wishes.delivered(frame(1), edited=False)
    assert filled == []
    wanted = wish(filled)
    wishes.want("front", wanted)
    wishes.delivered(frame(2, value=70), edited=False)
    wishes.delivered(frame(3, value=90), edited=False)
    assert filled == [(2, 80, 45)]
    assert set(wanted.memory[: 80 * 45 * 3]) == {70}
    assert not wanted.memory[80 * 45 * 3 :].any()


def test_an_unedited_picture_is_that_before_editing() -> None:
    wishes, filled = PictureWishes(), Filled()
    wanted = wish(filled, edited=False)
    wishes.want("front", wanted)
    wishes.delivered(frame(1), edited=True)
    assert filled == [], "it came after the picture had been edited"
    wishes.received("front", frame(0, value=200).image.host(), None)
    wishes.delivered(frame(2), edited=True)
    assert filled == [(2, 80, 45)]
    assert set(wanted.memory[: 80 * 45 * 3]) == {200}
    wishes.want("front", wish(filled, edited=False))
    wishes.delivered(frame(3), edited=False)
    assert filled[-1] == (3, 80, 45), "where nothing is edited, both are the same"


@pytest.mark.parametrize("turn", [None, cv2.ROTATE_90_CLOCKWISE, cv2.ROTATE_180, cv2.ROTATE_90_COUNTERCLOCKWISE])
def test_an_unedited_picture_is_turned(turn: int | None) -> None:
    picture = np.random.default_rng(1).integers(0, 255, (40, 64, 3), np.uint8)
    whole = picture if turn is None else cv2.rotate(picture, turn)
    wanted = wish([], width=4096, edited=False)
    wanted.fill(picture, turn)
    assert wanted.size == (whole.shape[1], whole.shape[0])
    assert np.array_equal(wanted.memory[: whole.size].reshape(whole.shape), whole)


@pytest.mark.parametrize(("height", "width", "size"), [(1080, 1920, 1 << 16), (1, 16384, 1 << 16), (16384, 1, 1 << 16)])
def test_a_picture_never_exceeds_its_memory(height: int, width: int, size: int) -> None:
    wanted = wish([], width=4096, size=size)
    wanted.fill(np.zeros((height, width, 3), np.uint8))
    assert wanted.size is not None
    assert 3 * wanted.size[0] * wanted.size[1] <= size


def test_each_reader_of_statistics_is_told_everything_once() -> None:
    stats = Stats()
    one, other = Reader(), Reader()
    for _ in range(3):
        stats.processed("front", queue=0.1)
    assert stats.report(("front",), one).cameras["front"].latency["queue"].p50 == pytest.approx(100)
    stats.processed("front", queue=0.3)
    assert stats.report(("front",), one).cameras["front"].latency["queue"].p50 == pytest.approx(300)
    assert stats.report(("front",), one).cameras["front"].latency == {}
    report = stats.report(("front",), other).cameras["front"]
    assert report.latency["queue"].p50 == pytest.approx(100)
    assert report.processed == 4
    assert report.fps > 0
    stats.forget("front")
    stats.processed("front", queue=0.2)
    assert stats.report(("front",), one).cameras["front"].latency["queue"].p50 == pytest.approx(200)


def test_events_and_their_pictures_are_kept_within_bounds() -> None:
    memory = EventMemory("box")
    for _ in range(250):
        memory.add(Event("front", EventType.APPEARED, 0.0, label="dog"), tracking=False)
    assert memory.last == 250
    assert len(list(memory.messages(0, 0))) == 200
    assert len(list(memory.messages(249, 0))) == 1
    numbers = memory.add_picture(Subject("front", frozenset({"dog"})), b"jpeg")
    assert len(numbers) == 200
    assert [number for number in numbers if memory.picture(number)] == numbers[150:], "the latest 50"
    assert memory.add_picture(Subject("yard", frozenset({"dog"})), b"jpeg") == []
    assert sum(b'"waits":true' in message for message in memory.messages(0, 7)) == 7
